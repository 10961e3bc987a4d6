"use strict";
// The linked panes of the report. Volumes are decoded when they are first shown, by volumes.js.
(() => {
  const { decode, subtract } = window.mrcontrastVolumes;
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("viewer-data").textContent);
  const box = byId("viewer-box");
  const AXES = ["x", "y", "z"];
  const SLICES = { axial: 0, coronal: 1, sagittal: 2, multiplanar: 3 }; // NiiVue's numbers
  const MARGIN_MM = 12; // around the brain
  const panes = new Map(); // name -> {figure, viewer}
  let session = null;
  let turn = 0; // of the choices
  let busy = Promise.resolve();

  const method = () => byId("choose-method").value;
  const say = (text) => { byId("viewer-status").textContent = text; };
  const errorEnd = () => data.error * Number(byId("choose-error").value);

  function windowOf(kind, name) {
    if (kind === "error") return [-errorEnd(), errorEnd()];
    if (kind === "spread") return [0, errorEnd() / 2];
    return name.startsWith("source-") ? [0, 1] : data.window;
  }

  function format(value) {
    const size = Math.max(Math.abs(data.window[0]), Math.abs(data.window[1]));
    return value.toFixed(size > 20 ? 1 : 3).replace("-", "−");
  }

  function paintBar(name) {
    const { figure } = panes.get(name);
    const kind = figure.dataset.kind;
    const [low, high] = windowOf(kind, name);
    const colours = data.colours[kind].map((rgb) => `rgb(${rgb})`);
    figure.querySelector(".bar i").style.background = `linear-gradient(90deg, ${colours})`;
    figure.querySelector(".low").textContent = format(low);
    figure.querySelector(".middle").textContent = kind === "error" ? "0" : "";
    figure.querySelector(".high").textContent = format(high);
  }

  function colourMap(stops) {
    const column = (channel) => stops.map((rgb) => rgb[channel]);
    const places = stops.map((_, i) => Math.round((255 * i) / (stops.length - 1)));
    return { R: column(0), G: column(1), B: column(2), A: stops.map(() => 255), I: places };
  }

  async function makePane(figure) {
    const viewer = new niivue.Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [1, 0.86, 0.3, 0.9], crosshairWidth: 1, crosshairWidthUnit: "mm", crosshairGap: 8,
      isRadiologicalConvention: true, isNearestInterpolation: true, dragAndDropEnabled: false,
      multiplanarShowRender: 0, multiplanarLayout: 2, clipPlaneHotKey: "", cycleClipPlaneHotKey: "",
      viewModeHotKey: "", scrollRequiresFocus: true, loadingText: "", logLevel: "error", sliceType: 0,
      fontColor: [0.7, 0.7, 0.7, 1],
    });
    await viewer.attachToCanvas(figure.querySelector("canvas"));
    Object.entries(data.colours).forEach(([kind, stops]) => viewer.addColormap(`report-${kind}`, colourMap(stops)));
    return viewer;
  }

  async function makePanes() {
    for (const figure of box.querySelectorAll(".pane")) {
      panes.set(figure.id.replace("pane-", ""), { figure, viewer: await makePane(figure) });
    }
    for (const { viewer } of panes.values()) {
      viewer.onLocationChange = (location) => readOut([...location.mm].slice(0, 3));
    }
  }

  // A crosshair moves those of the other panes, but NiiVue fails on one without a volume.
  function link(on) {
    const filled = [...panes.values()].map((pane) => pane.viewer).filter((viewer) => viewer.volumes.length);
    for (const { viewer } of panes.values()) {
      viewer.broadcastTo(on ? filled.filter((other) => other !== viewer) : [], { "2d": true, "3d": true });
    }
  }

  async function put(name, file, label) {
    const { figure, viewer } = panes.get(name);
    const canvas = figure.querySelector("canvas");
    const absent = figure.querySelector(".absent");
    [...viewer.volumes].forEach((volume) => viewer.removeVolume(volume));
    absent.hidden = Boolean(file);
    absent.textContent = file ? "" : label;
    canvas.setAttribute("aria-label", label);
    if (!file) return;
    const kind = figure.dataset.kind;
    const [low, high] = windowOf(kind, name);
    const image = await niivue.NVImage.new(file, `${name}.nii`, `report-${kind}`, 1, null, low, high);
    viewer.addVolume(image);
  }

  // One after the other, and of several choices made meanwhile only the last.
  function show() {
    const mine = ++turn;
    box.dataset.state = "loading";
    busy = busy.catch(() => {}).then(() => (mine === turn ? draw() : null));
    return busy;
  }

  async function draw() {
    const mine = turn;
    const chosen = data.sessions.find((each) => each.name === byId("choose-session").value);
    const known = chosen.methods[method()];
    const what = `${chosen.name}, ${method()}`;
    say(`Decoding ${chosen.name} …`);
    const began = performance.now();
    const load = (id) => (id ? decode(id) : null);
    const titles = Object.entries(data.sources);
    const [real, synthetic, spread, ...sources] = await Promise.all(
      [chosen.real, known?.synthetic, known?.spread, ...titles.map(([key]) => chosen.sources[key])].map(load));
    const files = {
      real: [real, `Real ${data.target} of ${chosen.name}`],
      synthetic: [synthetic, synthetic ? `Synthetic ${data.target} of ${what}` : "not predicted by this method"],
      error: [synthetic && subtract(synthetic, real), synthetic ? `Synthetic minus real ${data.target} of ${what}` : "no prediction, no error"],
      spread: [spread, spread ? `Standard deviation over draws of ${what}` : "no uncertainty map"],
    };
    titles.forEach(([key, title], i) => {
      files[`source-${key}`] = [sources[i], sources[i] ? `${title} of ${chosen.name}` : `no ${title} of this subject`];
    });
    link(false);
    for (const name of panes.keys()) await put(name, ...files[name]);
    link(true);
    const isNew = session !== chosen;
    session = chosen;
    setRanges();
    setView();
    if (isNew) frame();
    moveTo(isNew ? chosen.centre : place);
    const ms = Math.round(performance.now() - began); // 0 where the browser's clock stands still
    say(`${what}${known?.figure ? `: ${known.figure}` : ""}.${ms > 0 ? ` Decoded and drawn in ${ms} ms.` : ""}`);
    if (mine === turn) box.dataset.state = "ready";
  }

  let place = [0, 0, 0]; // of the crosshair, mm

  function readOut(mm) {
    place = mm.map(Number);
    AXES.forEach((axis, i) => {
      byId(`move-${axis}`).value = place[i];
      byId(`mm-${axis}`).textContent = `${place[i].toFixed(0).replace("-", "−")} mm`;
    });
    for (const { figure, viewer } of panes.values()) {
      const volume = viewer.volumes[0];
      const value = volume ? volume.getValue(...volume.mm2vox(place)) : null;
      figure.querySelector(".value").textContent = value === null || Number.isNaN(value) ? "" : format(value);
    }
  }

  function moveTo(mm) {
    for (const { viewer } of panes.values()) {
      if (!viewer.volumes.length) continue;
      viewer.scene.crosshairPos = viewer.mm2frac(mm);
      viewer.drawScene();
    }
    readOut(mm);
  }

  // The brain fills the pane. NiiVue shows from (low - pan) / zoom to (high - pan) / zoom, in mm.
  function frame() {
    for (const { viewer } of panes.values()) {
      if (!viewer.volumes.length) continue;
      const [low, high] = viewer.sceneExtentsMinMax(true);
      const zooms = session.extent.map(([from, to], i) => (high[i] - low[i]) / (to - from + MARGIN_MM));
      const zoom = Math.max(1, Math.min(...zooms));
      const pan = session.extent.map(([from, to], i) => (low[i] + high[i]) / 2 - (zoom * (from + to)) / 2);
      viewer.setPan2Dxyzmm([...pan, zoom]);
    }
  }

  function setRanges() {
    AXES.forEach((axis, i) => {
      [byId(`move-${axis}`).min, byId(`move-${axis}`).max] = session.extent[i];
    });
  }

  function setView() {
    const view = byId("choose-view").value;
    for (const { viewer } of panes.values()) {
      viewer.setCrosshairWidth(view === "multiplanar" ? 2.2 : 1); // mm, so that it is a pixel wide
      viewer.setSliceType(SLICES[view]);
    }
  }

  function setScale() {
    for (const [name, { figure, viewer }] of panes) {
      paintBar(name);
      const volume = viewer.volumes[0];
      if (!volume || figure.dataset.kind === "image") continue;
      [volume.cal_min, volume.cal_max] = windowOf(figure.dataset.kind, name);
      viewer.updateGLVolume();
    }
  }

  function listen() {
    byId("choose-session").addEventListener("change", attempt(show));
    byId("choose-method").addEventListener("change", attempt(show));
    byId("choose-view").addEventListener("change", setView);
    byId("choose-error").addEventListener("change", setScale);
    byId("go-peak").addEventListener("click", () => moveTo(session.methods[method()]?.peak ?? place));
    byId("go-centre").addEventListener("click", () => {
      frame();
      moveTo(session.centre);
    });
    AXES.forEach((axis, i) => byId(`move-${axis}`).addEventListener("input", (event) => {
      moveTo(place.map((value, j) => (j === i ? Number(event.target.value) : value)));
    }));
  }

  // What fails is said in the viewer and in the console; the rest of the page stays as it is.
  function attempt(work) {
    return async () => {
      try {
        await work();
      } catch (error) {
        box.dataset.state = "failed";
        say(`The viewer could not start: ${error.message}. It needs WebGL 2 and a browser of 2023 or later.`);
        console.error(error);
      }
    };
  }

  async function start() {
    say("Starting …");
    await makePanes();
    setScale();
    listen();
    await show();
  }

  for (const button of document.querySelectorAll("[data-session]")) {
    button.addEventListener("click", () => {
      byId("choose-session").value = button.dataset.session;
      byId("choose-session").dispatchEvent(new Event("change"));
      byId("viewer").scrollIntoView();
    });
  }
  window.mrcontrastReport = { data, panes, place: () => place };
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect(); // the volumes are decoded only for a reader who comes here
    attempt(start)();
  }, { rootMargin: "200px" });
  watch.observe(box);
})();
