/** Runs an ONNX artifact of keras_cct with onnxruntime-web. */

const METADATA_PROPS = 14; // field number in ONNX's ModelProto
const KEY = 1, VALUE = 2; // in StringStringEntryProto

export class Classifier {
  /** Loads onnxruntime-web and the model; throws an Error whose message says what to do. */
  static async load(modelUrl, runtimeFolder) {
    let ort;
    try {
      ort = await import(new URL("ort.wasm.min.mjs", runtimeFolder));
    } catch {
      throw new Error("onnxruntime-web is missing. Run `npm install` in the folder of this page.");
    }
    ort.env.wasm.wasmPaths = runtimeFolder.href;
    ort.env.wasm.numThreads = 1; // more threads need the headers of cross-origin isolation
    const response = await fetch(modelUrl);
    if (!response.ok) {
      throw new Error(`${modelUrl} is missing. Export it with \`keras_cct export MODEL model.onnx --format onnx\`.`);
    }
    const content = new Uint8Array(await response.arrayBuffer());
    const metadata = readMetadata(content);
    return new Classifier(ort, await ort.InferenceSession.create(content), metadata);
  }

  constructor(ort, session, metadata) {
    this.ort = ort;
    this.session = session;
    this.metadata = metadata;
  }

  /** Returns [class name, probability] pairs of an image, sorted by probability. */
  async classify(bitmap) {
    const [height, width, channels] = this.metadata.image_shape;
    const batchSize = this.metadata.batch_size ?? 1;
    const pixels = new Float32Array(batchSize * height * width * channels);
    pixels.set(readPixels(bitmap, height, width, channels));
    const images = new this.ort.Tensor("float32", pixels, [batchSize, height, width, channels]);
    const { probabilities } = await this.session.run({ images });
    const numClasses = probabilities.dims[1];
    return Array.from(probabilities.data.slice(0, numClasses))
      .map((probability, index) => [this.metadata.class_names?.[index] ?? String(index), probability])
      .sort((first, second) => second[1] - first[1]);
  }
}

/** Returns the pixels in [0, 255] of an image that is resized until it covers the input of the model, and cropped. */
function readPixels(bitmap, height, width, channels) {
  if (channels !== 1 && channels !== 3) {
    throw new Error(`The model takes ${channels} channels; pictures have 1 or 3.`);
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [drawnWidth, drawnHeight] = [bitmap.width * scale, bitmap.height * scale];
  context.drawImage(bitmap, (width - drawnWidth) / 2, (height - drawnHeight) / 2, drawnWidth, drawnHeight);
  const { data } = context.getImageData(0, 0, width, height); // red, green, blue, alpha of each pixel
  const pixels = new Float32Array(height * width * channels);
  for (let index = 0; index < height * width; index++) {
    const [red, green, blue] = data.subarray(4 * index, 4 * index + 3);
    if (channels === 3) {
      pixels.set([red, green, blue], 3 * index);
    } else {
      pixels[index] = Math.floor(0.299 * red + 0.587 * green + 0.114 * blue + 0.5); // as Pillow does
    }
  }
  return pixels;
}

/** Returns the description that keras_cct stores in an ONNX file: image_shape, class_names and so on. */
export function readMetadata(content) {
  for (const [number, field] of readFields(content)) {
    if (number === METADATA_PROPS) {
      const entry = new Map(readFields(field));
      if (decodeText(entry.get(KEY)) === "keras_cct") {
        return JSON.parse(decodeText(entry.get(VALUE)));
      }
    }
  }
  throw new Error("The model was not exported by keras_cct. Use `keras_cct export MODEL model.onnx --format onnx`.");
}

function decodeText(bytes) {
  return new TextDecoder().decode(bytes);
}

/** Yields the number and the content of each length-delimited field of a protocol buffer, and skips the others. */
function* readFields(bytes) {
  let offset = 0;
  const readVarint = () => {
    let value = 0;
    for (let factor = 1; offset < bytes.length; factor *= 128) {
      const byte = bytes[offset++];
      value += (byte % 128) * factor;
      if (byte < 128) break;
    }
    return value;
  };
  while (offset < bytes.length) {
    const tag = readVarint();
    const [number, wireType] = [Math.floor(tag / 8), tag % 8];
    if (wireType === 0) {
      readVarint();
    } else if (wireType === 2) {
      const size = readVarint();
      yield [number, bytes.subarray(offset, offset + size)];
      offset += size;
    } else if (wireType === 1 || wireType === 5) {
      offset += wireType === 1 ? 8 : 4;
    } else {
      return; // not a protocol buffer
    }
  }
}
