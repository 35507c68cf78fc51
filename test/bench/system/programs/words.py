# Dictionaries, strings, lists and sorting.
counts = {}
with open('/tmp/words', encoding='ascii') as text:
    for line in text:
        for word in line.split():
            counts[word] = counts.get(word, 0) + 1
by_ending = {}
for word, count in counts.items():
    by_ending.setdefault(word[-2:], []).append((count, word.upper()))
for ending in sorted(by_ending):
    rows = sorted(by_ending[ending], reverse=True)[:3]
    print(ending, ', '.join('%s=%d' % (word, count) for count, word in rows))
print(len(counts), sum(counts.values()))
