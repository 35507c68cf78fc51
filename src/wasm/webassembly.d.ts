/** The part of the WebAssembly JavaScript interface that is used here; TypeScript ships it only with the DOM. */
declare global {
  namespace WebAssembly {
    class Module {
      constructor(bytes: Uint8Array);
    }
    class Instance {
      constructor(module: Module, imports: Readonly<Record<string, object>>);
      readonly exports: Readonly<Record<string, unknown>>;
    }
    class Table {
      readonly length: number;
      grow(entries: number): number;
      set(index: number, value: unknown): void;
    }
    class Memory {
      constructor(descriptor: { initial: number; maximum: number; shared: true });
      readonly buffer: SharedArrayBuffer;
    }
    function compile(bytes: Uint8Array): Promise<Module>;
  }
}

export {};
