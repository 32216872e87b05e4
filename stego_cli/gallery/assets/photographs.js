"use strict";
// The view of photographs: a page of small ones, filters, and one photograph large.
const Photographs = (() => {
  const by = (id) => document.getElementById(id);
  const PAGE = 24;
  let app, found = [], page = 0, round = 0, viewed;

  function show(application) {
    app = application;
    for (const id of ["photo-class", "photo-order", "photo-doubt"]) by(id).onchange = again;
    by("photo-name").oninput = again;
    by("opacity").oninput = () => by("grid").style.setProperty("--mask", by("opacity").value);
    by("page-first").onclick = () => turn(0);
    by("page-back").onclick = () => turn(page - 1);
    by("page-on").onclick = () => turn(page + 1);
    by("page-last").onclick = () => turn(Infinity);
    by("photo-help").textContent = "Doubt of a photograph: the mean over its regions, by area. "
      + "Point at a photograph to see which class is where.";
    prepareViewer();
  }

  function again() {
    page = 0;
    render();
  }

  function turn(to) {
    page = Math.max(0, Math.min(to, Math.ceil(found.length / PAGE) - 1));
    renderGrid();
    by("photographs").scrollIntoView({ block: "start" });
  }

  function filterBy(number) {
    fillClasses();
    by("photo-class").value = String(number);
    by("photo-order").value = "share";
    page = 0;
    render();
  }

  function fillClasses() {
    const select = by("photo-class"), before = select.value;
    select.replaceChildren(make("option", { value: "" }, "all"),
      ...app.legend().map((entry) => make("option", { value: String(entry.number) }, Edits.visible(entry.name))));
    if (app.edits().drop.length) select.append(make("option", { value: "void" }, "void"));
    if ([...select.options].some((option) => option.value === before)) select.value = before;
  }

  function render() {
    fillClasses();
    const photographs = app.index.photographs, wanted = by("photo-class").value, least = leastDoubt();
    const part = by("photo-name").value.toLowerCase();
    const entry = app.legend().find((each) => String(each.number) === wanted);
    renderLegend(wanted);
    const members = wanted === "void" ? app.voids() : entry ? new Set(entry.members) : undefined;
    const share = (index) => members ? app.shareIn(index, members) : 1;
    found = [];
    for (let index = 0; index < photographs.name.length; index++) {
      if (photographs.doubt[index] < least || (part && !photographs.name[index].toLowerCase().includes(part))) continue;
      if (share(index) > 0) found.push(index);
    }
    const order = by("photo-order").value;
    if (order === "doubt") found.sort((a, b) => photographs.doubt[b] - photographs.doubt[a]);
    if (order === "share") {
      const shares = new Map(found.map((index) => [index, share(index)]));
      found.sort((a, b) => shares.get(b) - shares.get(a));
    }
    page = Math.max(0, Math.min(page, Math.ceil(found.length / PAGE) - 1));
    renderGrid();
  }

  // What the colours are; each filters by its class, and a second time by none.
  function renderLegend(wanted) {
    by("photo-legend").replaceChildren(...app.legend().map(({ number, colour, name }) => {
      const pressed = String(number) === wanted;
      return make("button", { class: "chip", "aria-pressed": String(pressed), title: "Photographs with it",
        onclick: () => { by("photo-class").value = pressed ? "" : String(number); again(); } },
      Classes.swatch(colour), nameOf(name));
    }));
  }

  // The doubt that the chosen part of the photographs has at least.
  function leastDoubt() {
    const part = Number(by("photo-doubt").value);
    if (part === 1) return -1;
    const sorted = [...app.index.photographs.doubt].sort((a, b) => b - a);
    return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
  }

  function renderGrid() {
    const pages = Math.max(1, Math.ceil(found.length / PAGE)), now = ++round;
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    by("page-where").textContent = `page ${page + 1} of ${pages}, ${found.length} photograph${found.length === 1 ? "" : "s"}`;
    by("page-first").disabled = by("page-back").disabled = page === 0;
    by("page-on").disabled = by("page-last").disabled = page >= pages - 1;
    by("grid").style.setProperty("--mask", by("opacity").value);
    by("grid").replaceChildren(...shown.map((index, place) => {
      const layers = layered(index, () => now === round);
      return make("figure", {},
        make("button", { onclick: () => view(found, page * PAGE + place) }, layers),
        make("figcaption", {}, nameOf(app.index.photographs.name[index]), caption(index)));
    }));
    if (!shown.length) by("grid").append(make("p", { class: "quiet" }, "No photograph is left by these filters."));
  }

  function caption(index) {
    const problem = app.index.photographs.problem[index];
    return problem ? ` - ${problem}` : ` - doubt ${app.doubt(app.index.photographs.doubt[index])}`;
  }

  // A photograph with its mask over it; hovering shows the class.
  function layered(index, wanted, only) {
    const canvas = make("canvas"), name = Edits.visible(app.index.photographs.name[index]);
    const width = app.index.photographs.width[index] || 3, height = app.index.photographs.height[index] || 2;
    const layers = make("span", { class: "layers", 
      style: `aspect-ratio:${width}/${height};--ratio:${width / height};${3 * width > 4 * height ? "width" : "height"}:100%` },
      make("img", { src: `pictures/${index}.jpg`, alt: name, loading: "lazy", decoding: "async" }), canvas);
    Labels.of(index, app.index.chunk).then((mask) => {
      if (!wanted()) return;
      Labels.draw(canvas, mask, app.colours(), only);
      layers.onpointermove = (event) => hover(event, mask, layers);
      layers.onpointerleave = () => { by("hover").hidden = true; };
    }).catch((error) => app.say(error.message, true));
    return layers;
  }

  function hover(event, mask, layers) {
    const number = Labels.at(mask, layers.getBoundingClientRect(), event.clientX, event.clientY);
    const box = by("hover");
    box.hidden = number === undefined;
    if (box.hidden) return;
    box.replaceChildren(nameOf(app.nameAt(number)));
    box.style.left = `${Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 6)}px`;
    box.style.top = `${event.clientY + 16}px`;
    (layers.closest("dialog") || document.body).append(box); // above a dialog only what is in it shows
  }

  function prepareViewer() {
    by("viewer-opacity").oninput = () => by("viewer").style.setProperty("--mask", by("viewer-opacity").value);
    by("viewer-back").onclick = () => step(-1);
    by("viewer-on").onclick = () => step(1);
    by("viewer-close").onclick = () => by("viewer").close();
    by("viewer").onkeydown = (event) => {
      if (event.target.type === "range") return;
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    };
    by("viewer").onclose = () => { document.body.append(by("hover")); by("hover").hidden = true; };
  }

  // Shows one of `list` large; `only` shows some classes alone.
  function view(list, place, only) {
    viewed = { list, place, only };
    by("viewer").style.setProperty("--mask", by("viewer-opacity").value);
    renderViewer();
    if (!by("viewer").open) by("viewer").showModal();
  }

  function step(by_) {
    const place = viewed.place + by_;
    if (place >= 0 && place < viewed.list.length) { viewed.place = place; renderViewer(); }
  }

  function renderViewer() {
    const { list, place, only } = viewed, index = list[place], now = ++round;
    by("viewer-name").replaceChildren(nameOf(app.index.photographs.name[index]), caption(index));
    by("viewer-back").disabled = place === 0;
    by("viewer-on").disabled = place === list.length - 1;
    by("viewer-stage").replaceChildren(layered(index, () => now === round, only));
    const rows = app.legend().map((entry) => ({ entry, share: app.shareIn(index, new Set(entry.members)) }))
      .filter((row) => row.share > 0).sort((a, b) => b.share - a.share);
    by("viewer-legend").replaceChildren(
      make("button", { class: "chip", "aria-pressed": String(!only), onclick: () => highlight(undefined) }, "all"),
      ...rows.map(({ entry, share }) => make("button", { class: "chip",
        "aria-pressed": String(Boolean(only && only.has(entry.number))), title: "Show this class alone",
        onclick: () => highlight(new Set(entry.members)) },
      Classes.swatch(entry.colour), nameOf(entry.name), ` ${percent(share)}`)));
  }

  function highlight(only) {
    viewed.only = only;
    renderViewer();
  }

  return { show, render, filterBy, view };
})();
