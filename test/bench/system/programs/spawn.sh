# A process after the other, each with its dynamic linker; and subshells with a pipe.
for ((i = 0; i < 100; i++)); do
  /usr/bin/true || exit 1
done
for ((i = 0; i < 40; i++)); do
  echo $i
done | while read -r number; do
  echo $(echo $((number * number)))
done
