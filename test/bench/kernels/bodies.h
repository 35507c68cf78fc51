/* Bodies that attract one another; MULTIPLY_ADD(a, b, c) is given by the file that includes it, and BODIES_FUNCTION. */
#define BODIES 8
#define STEPS 60000
#define STEP_LENGTH 0.0005

struct body {
  double place[3], speed[3], mass;
};

static void place_bodies(struct body bodies[BODIES]) {
  uint32_t seed = 8;
  for (int i = 0; i < BODIES; i++) {
    for (int axis = 0; axis < 3; axis++) {
      bodies[i].place[axis] = (double)(next_random(&seed) & 0xffff) / 4096.0 - 8.0;
      bodies[i].speed[axis] = (double)(next_random(&seed) & 0xffff) / 65536.0 - 0.5;
    }
    bodies[i].mass = 1.0 + (double)i / 4.0;
  }
}

BODIES_FUNCTION static void move_bodies(struct body bodies[BODIES]) {
  for (int i = 0; i < BODIES; i++)
    for (int j = i + 1; j < BODIES; j++) {
      double apart[3], square = 0.01;
      for (int axis = 0; axis < 3; axis++) {
        apart[axis] = bodies[i].place[axis] - bodies[j].place[axis];
        square = MULTIPLY_ADD(apart[axis], apart[axis], square);
      }
      double pull = STEP_LENGTH / (square * __builtin_sqrt(square));
      double ours = -bodies[j].mass * pull, theirs = bodies[i].mass * pull;
      for (int axis = 0; axis < 3; axis++) {
        bodies[i].speed[axis] = MULTIPLY_ADD(apart[axis], ours, bodies[i].speed[axis]);
        bodies[j].speed[axis] = MULTIPLY_ADD(apart[axis], theirs, bodies[j].speed[axis]);
      }
    }
  for (int i = 0; i < BODIES; i++)
    for (int axis = 0; axis < 3; axis++)
      bodies[i].place[axis] = MULTIPLY_ADD(bodies[i].speed[axis], STEP_LENGTH, bodies[i].place[axis]);
}

static uint64_t bodies_run(void) {
  struct body bodies[BODIES];
  uint64_t sum = 0;
  place_bodies(bodies);
  for (int step = 0; step < STEPS; step++) move_bodies(bodies);
  for (int i = 0; i < BODIES; i++) sum = mix(mix(sum, bits_of(bodies[i].place[0])), bits_of(bodies[i].speed[2]));
  return sum;
}
