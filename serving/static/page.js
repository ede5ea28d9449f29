"use strict";
// One picture at a time: it goes to /predict as it is, and what comes back is shown. Nothing is asked of other machines.

const $ = (id) => document.getElementById(id);
const settings = document.body.dataset;
let shown = null;   // the last answer
let request = null; // the one that is under way
let alone = null;   // the class that is shown alone
let links = [];     // addresses of files to download, which are freed with the answer

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function fail(line) {
  $("error").textContent = line;
  $("error").hidden = !line;
}

function working(text, share) {
  $("working").hidden = !text;
  $("doing").textContent = text;
  if (share === undefined) $("progress").removeAttribute("value");
  else $("progress").value = share;
}

function send(files) {
  const file = files[0];
  if (!file) return;
  const most = Number(settings.mostBytes);
  if (file.size > most) {
    fail(`${file.name} has ${(file.size / 1048576).toFixed(1)} MB: at most ${most / 1048576} MB are taken`);
    return;
  }
  if (request) request.abort();
  fail(files.length > 1 ? `${files.length} files: the first one is shown` : "");
  const began = performance.now();
  const asked = (request = new XMLHttpRequest());
  let timer = 0;
  const wait = () => {
    const seconds = Math.round((performance.now() - began) / 1000);
    working(`the network looks at ${file.name || "the picture"}: ${seconds} s`);
  };
  asked.upload.onprogress = (event) => working(`sending ${file.name}`, event.loaded / event.total);
  asked.upload.onload = () => {
    wait();
    timer = setInterval(wait, 1000);
  };
  asked.onloadend = () => {
    clearInterval(timer);
    if (request !== asked) return; // another picture has taken its place
    request = null;
    working("");
    let answer = { error: "the server did not answer: does it still run?" };
    try {
      if (asked.responseText) answer = JSON.parse(asked.responseText);
    } catch {
      answer = { error: "the server's answer cannot be read" };
    }
    if (answer.error) fail(answer.error);
    else show(answer);
  };
  const query = new URLSearchParams({ name: file.name || "pasted picture.png", network: $("network").value });
  asked.open("POST", `/predict?${query}`);
  asked.setRequestHeader("Content-Type", settings.binary);
  working(`sending ${file.name || "the picture"}`, 0);
  asked.send(file);
}

function show(answer) {
  shown = answer;
  shown.probe.classes = bytesOf(answer.probe.classes);
  shown.probe.certainty = bytesOf(answer.probe.certainty);
  shown.names = new Map(answer.legend.map((entry) => [entry.class, entry.name]));
  $("under").src = answer.picture;
  $("name").textContent = answer.name;
  const size = `${answer.width} × ${answer.height} pixels`;
  $("facts").textContent = `${size}, ${answer.seconds} s, mean certainty ${answer.certainty}`;
  $("about").textContent = answer.network;
  $("notes").replaceChildren(...answer.notes.map((note) => element("li", "", note)));
  $("views").replaceChildren(...answer.views.map(tab));
  $("legend").replaceChildren(...answer.legend.map(entryOf));
  links.forEach((link) => URL.revokeObjectURL(link));
  links = ["mask", "colors"].map((kind) => download(kind, answer));
  only(null);
  choose(answer.views[0].name);
  $("drop").classList.add("small");
  $("result").hidden = false;
}

function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function tab(view) {
  const button = element("button", "", view.name);
  button.type = "button";
  button.onclick = () => choose(view.name);
  return button;
}

function choose(name) {
  const view = shown.views.find((one) => one.name === name);
  $("over").src = view.uri;
  $("over").alt = `${view.name} of ${shown.name}`;
  for (const button of $("views").children) button.setAttribute("aria-pressed", String(button.textContent === name));
  $("scale").hidden = !view.about;
  $("reading").textContent = view.about;
}

function swatch(color, width, height, share) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [key, value] of [["width", width], ["height", height], ["preserveAspectRatio", "none"]]) svg.setAttribute(key, value);
  box.setAttribute("width", share);
  box.setAttribute("height", "100%");
  box.setAttribute("rx", "2");
  box.setAttribute("fill", color);
  svg.setAttribute("aria-hidden", "true");
  svg.append(box);
  return svg;
}

function entryOf(entry) {
  const item = element("li");
  const button = element("button");
  const bar = swatch(entry.color, "100%", 4, `${100 * entry.share}%`);
  bar.setAttribute("class", "share");
  button.type = "button";
  button.dataset.class = entry.class;
  button.append(swatch(entry.color, 14, 14, "100%"), element("span", "name", entry.name));
  button.append(element("span", "text", entry.text), bar);
  button.onclick = () => only(alone === entry.class ? null : entry.class);
  item.append(button);
  return item;
}

// Dims what is not of a class; null shows all of them.
function only(chosen) {
  alone = chosen;
  const { width, height, classes } = shown.probe;
  const canvas = $("spot");
  canvas.hidden = chosen === null;
  for (const button of $("legend").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.class) === chosen));
  }
  if (chosen === null) return;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  for (let i = 0; i < classes.length; i++) {
    if (classes[i] !== chosen) picture.data.set([12, 13, 16, 205], 4 * i);
  }
  context.putImageData(picture, 0, 0);
}

function download(kind, answer) {
  const link = URL.createObjectURL(new Blob([bytesOf(answer[kind].split(",")[1])], { type: "image/png" }));
  $(kind).href = link;
  $(kind).download = `${answer.name.replace(/\.[^.]*$/, "")}_${kind}.png`;
  return link;
}

function divide(share) {
  const percent = Math.min(100, Math.max(0, 100 * share));
  $("stage").style.setProperty("--cut", `${percent}%`);
  $("divider").value = percent;
}

function shareOf(event) {
  const box = $("stage").getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

function point(event) {
  if (!shown) return;
  const [x, y] = shareOf(event);
  const { width, height, classes, certainty } = shown.probe;
  const column = Math.min(width - 1, Math.max(0, Math.floor(x * width)));
  const row = Math.min(height - 1, Math.max(0, Math.floor(y * height)));
  const at = row * width + column;
  const sure = Math.round((100 * certainty[at]) / 255);
  $("under_pointer").textContent = `${shown.names.get(classes[at]) ?? "a small class"}, certainty ${sure} %`;
}

// The table: a click on a column's head sorts by it.
function sort(head) {
  const table = head.closest("table");
  const column = [...head.parentElement.children].indexOf(head);
  const down = head.getAttribute("aria-sort") !== "descending";
  const value = (row) => row.children[column].dataset.value ?? row.children[column].textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    return isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
  };
  const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? -compare(a, b) : compare(a, b)));
  table.tBodies[0].append(...rows);
  for (const other of head.parentElement.children) if (other.ariaSort) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
}

function use(key) {
  $("network").value = key;
  $("about").textContent = "";
  mark();
  $("network").scrollIntoView({ behavior: "smooth", block: "center" });
}

function mark() {
  for (const button of document.querySelectorAll(".use")) {
    button.closest("tr").classList.toggle("used", button.dataset.key === $("network").value);
  }
}

function start() {
  for (const button of document.querySelectorAll("th button")) button.onclick = () => sort(button.closest("th"));
  if (!$("drop")) return;
  for (const button of document.querySelectorAll(".use")) button.onclick = () => use(button.dataset.key);
  $("network").onchange = mark;
  mark();
  $("file").onchange = () => {
    send($("file").files);
    $("file").value = ""; // the same file may be chosen again
  };
  $("drop").onkeydown = (event) => {
    if (event.target === $("drop") && (event.key === "Enter" || event.key === " ")) $("file").click();
  };
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    if (event.dataTransfer.files.length) send(event.dataTransfer.files);
    else fail("that was no file: drop a picture's file");
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) send(event.clipboardData.files);
  });
  const opacity = () => ($("over").style.opacity = $("opacity").value / 100);
  $("opacity").oninput = opacity;
  opacity();
  $("divider").oninput = () => divide($("divider").value / 100);
  $("knob").onpointerdown = (event) => $("knob").setPointerCapture(event.pointerId);
  $("knob").onpointermove = (event) => {
    if ($("knob").hasPointerCapture(event.pointerId)) divide(shareOf(event)[0]);
  };
  $("stage").onpointermove = point;
  $("stage").onpointerleave = () => ($("under_pointer").textContent = "\u00a0");
}

start();
