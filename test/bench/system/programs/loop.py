# Arithmetic, comparisons, attribute access and calls of the interpreter itself.
class Walk:
    def __init__(self):
        self.steps = 0

    def of(self, value):
        while value != 1:
            value = 3 * value + 1 if value & 1 else value >> 1
            self.steps += 1
        return self.steps


def sieve(limit):
    flags = bytearray([1]) * limit
    for number in range(2, int(limit**0.5) + 1):
        if flags[number]:
            for multiple in range(number * number, limit, number):
                flags[multiple] = 0
    return sum(flags) - 2


walk = Walk()
for start in range(1, 4001):
    walk.of(start)
total = 0.0
for i in range(1, 60000):
    total += 1.0 / (i * i)
print(walk.steps, sieve(100000), round(total, 9))
