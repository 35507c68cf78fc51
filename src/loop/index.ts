/** Event loops: what a thread's code imports. */
export { HostClock, type LoopClock, SimulatedClock } from './clock.ts';
export type { Delivery } from './delivery-log.ts';
export { attachThread, type LoopDriver, ParkingDriver, runInLibuv } from './drivers.ts';
export { type DeliveryObserver, EventLoop, type EventLoopOptions, type LoopSource } from './event-loop.ts';
export type { BottomHalf, LoopPort, Timer } from './port.ts';
export { Simulation, type Steppable } from './simulation.ts';
