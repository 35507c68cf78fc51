/** Messages of one shape, where no program may make code from text. Runs on the build. */
import { Decoder } from '../../dist/src/channel/decoder.js';
import { Encoder } from '../../dist/src/channel/encoder.js';

const [encoder, decoder] = [new Encoder(true), new Decoder(true)];
const bytes = new Uint8Array(256);
let last = null;
for (let a = 0; a < 50; a++) {
  const lengthBytes = encoder.encode({ a, b: [] }, bytes, 0, bytes.length);
  encoder.keep();
  last = decoder.decode(bytes, 0, lengthBytes);
}
process.stdout.write(JSON.stringify(last));
