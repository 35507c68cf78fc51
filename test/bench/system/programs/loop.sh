# Arithmetic, a function and an array of the shell itself.
gcd() {
  local a=$1 b=$2 rest
  while ((b)); do ((rest = a % b, a = b, b = rest)); done
  result=$a
}
declare -a seen
for ((i = 1, sum = 0; i <= 1000; i++)); do
  gcd $((i * 7919 % 10007)) $((i * 104729 % 65537))
  ((sum += result, seen[result % 64] += 1))
done
echo $sum "${seen[@]}"
