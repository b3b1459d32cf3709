/** The page: loads the model, takes pictures by drop, click, keyboard and paste, and shows the classes. */

import { Classifier } from "./classifier.js";

const MODEL = "model.onnx";
const NUM_SHOWN = 5;
const SMALL = 128; // pixels; smaller pictures are enlarged without smoothing

let latest; // an earlier picture must not replace the classes of a later one

const [drop, file, preview, hint, status, list] = ["drop", "file", "preview", "hint", "status", "classes"].map((id) =>
  document.getElementById(id),
);

function showStatus(text, isError = false) {
  status.textContent = text;
  status.classList.toggle("error", isError);
}

function showClasses(classes) {
  list.replaceChildren(
    ...classes.slice(0, NUM_SHOWN).map(([name, probability]) => {
      const item = document.createElement("li");
      const [nameElement, percent, meter] = ["span", "span", "meter"].map((tag) => document.createElement(tag));
      nameElement.className = "name";
      nameElement.textContent = name;
      percent.className = "percent";
      percent.textContent = `${(100 * probability).toFixed(2)} %`;
      meter.value = probability;
      meter.ariaLabel = `Probability of ${name}`;
      item.append(nameElement, percent, meter);
      return item;
    }),
  );
}

async function classify(blob) {
  latest = blob;
  list.replaceChildren();
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    preview.hidden = true;
    showStatus(`${blob.name ?? "The file"} is not a picture that this browser can read.`, true);
    return;
  }
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(blob);
  preview.alt = blob.name ?? "the picture";
  preview.classList.toggle("small", Math.max(bitmap.width, bitmap.height) <= SMALL);
  preview.hidden = false;
  hint.textContent = "Drop or choose another picture";
  showStatus("Classifying …");
  try {
    const classifier = await loading;
    const start = performance.now();
    const classes = await classifier.classify(bitmap);
    if (blob !== latest) return;
    showStatus(`${classifier.metadata.model}, ${(performance.now() - start).toFixed(1)} ms`);
    showClasses(classes);
  } catch (error) {
    showStatus(error.message, true);
  }
}

function classifyFirst(files) {
  if (files.length) classify(files[0]);
}

for (const [type, isOver] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
  // Listening to the whole window keeps the browser from opening a picture that is dropped beside the target.
  window.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", isOver);
  });
}
window.addEventListener("drop", (event) => classifyFirst(event.dataTransfer.files));
window.addEventListener("paste", (event) => classifyFirst(event.clipboardData.files));
file.addEventListener("change", () => {
  classifyFirst(file.files);
  file.value = ""; // so that the same picture can be chosen again
});
drop.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    file.click();
  }
});

const loading = Classifier.load(MODEL, new URL("node_modules/onnxruntime-web/dist/", import.meta.url));
loading.then(
  () => status.textContent.startsWith("Loading") && showStatus("Ready. Drop a picture."),
  (error) => showStatus(error.message, true),
);
