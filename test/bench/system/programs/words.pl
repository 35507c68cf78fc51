# Regular expressions, hashes and string work.
use strict;
my (%counts, %pairs, $doubles);
open(my $text, '<', '/tmp/words') or die "words: $!";
while (my $line = <$text>) {
    last if $. > 2000;
    $doubles += () = $line =~ /\b(\w)\w*\1\b/g;
    my $last = '';
    while ($line =~ /\b([a-z]+?)(?:in|er|on|a)?\b/g) {
        $counts{$1}++;
        $pairs{substr($last, 0, 1) . substr($1, 0, 1)}++;
        $last = $1;
    }
    $line =~ s/([aeiou])([^aeiou\s])/$2$1/g;
    $counts{length $line}++;
}
for my $word ((sort { $counts{$b} <=> $counts{$a} || $a cmp $b } keys %counts)[0 .. 40]) {
    printf "%s %d\n", $word, $counts{$word};
}
printf "%d %d %d\n", scalar keys %counts, scalar keys %pairs, $doubles;
