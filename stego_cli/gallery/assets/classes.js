"use strict";
// The view of classes: a card for each, and all that changes them.
const Classes = (() => {
  const by = (id) => document.getElementById(id);
  let app, chosen = new Set();

  function show(application) {
    app = application;
    by("class-help").textContent = "To join classes, tick them, or drag one by its ⠿ onto another. "
      + (app.index.doubt === "probabilities"
        ? "Doubtful: the model gave the class a low probability there."
        : "Doubtful: looks unlike its class, or as much like another (judged by colour and texture; `stego segment "
          + "--keep-probabilities` gives the model's own doubt).");
    by("class-order").onchange = by("only-unnamed").onchange = render;
    by("join").onclick = () => joinChosen([...chosen], by("join-name").value.trim());
    by("drop").onclick = () => { app.change(Edits.drop(app.edits(), [...chosen]), "Dropped to void."); };
    by("clear").onclick = () => { chosen.clear(); render(); };
    prepareSlider();
    by("join-name").onkeydown = (event) => { if (event.key === "Enter") by("join").click(); };
    render();
  }

  // From the classes as they were found to two; one step of the history for each place where it is let go.
  function prepareSlider() {
    const slider = by("coarseness"), { hierarchy } = app.index, all = hierarchy.length + 1;
    by("coarse").hidden = all < 3;
    by("coarse").firstChild.textContent = "Coarse to fine";
    slider.max = all;
    slider.value = all;
    slider.oninput = () => { by("coarse-count").textContent = `${slider.value} of ${all}`; };
    slider.oninput();
    slider.onchange = () => {
      app.change(Edits.coarser(app.edits(), hierarchy, app.index.fixed, Number(slider.value)),
        `The classes that are most alike are joined: ${slider.value} of ${all} clusters, where names allow it.`);
    };
  }

  function joinChosen(numbers, name) {
    if (numbers.length < 2) return;
    const before = chosen;
    chosen = new Set();
    if (app.change(Edits.join(app.edits(), numbers, name), `Joined ${numbers.length} classes.`)) by("join-name").value = "";
    else { chosen = before; render(); }
  }

  // Share, photographs, doubt, crops and neighbours of a class together with what is joined to it.
  function facts(entry) {
    const parts = entry.members.map((member) => app.row(member)).filter(Boolean);
    const share = parts.reduce((sum, part) => sum + part.share, 0);
    const weighted = (key) => {
      const sums = new Map();
      for (const part of parts) {
        for (const [number, value] of part[key]) {
          const owner = app.owner(number);
          if (owner === undefined || owner === entry.number) continue;
          const weight = key === "alike" ? 1 : part.share / (share || 1);
          sums.set(owner, key === "alike" ? Math.max(sums.get(owner) ?? -2, value) : (sums.get(owner) || 0) + weight * value);
        }
      }
      return [...sums].sort((a, b) => b[1] - a[1]);
    };
    const crops = (key) => {
      const mixed = [];
      for (let rank = 0; rank < 8; rank++) for (const part of parts) if (part[key][rank]) mixed.push(part[key][rank]);
      return mixed.slice(0, 16);
    };
    return { share, photographs: app.photographsWith(entry.members),
      doubt: parts.reduce((sum, part) => sum + part.doubt * part.share, 0) / (share || 1),
      borders: weighted("borders").slice(0, 4), alike: weighted("alike").slice(0, 3),
      typical: crops("typical"), doubtful: crops("doubtful") };
  }

  function render() {
    const order = by("class-order").value;
    const entries = app.legend().map((entry) => ({ entry, facts: facts(entry) }));
    chosen = new Set([...chosen].filter((number) => entries.some(({ entry }) => entry.number === number)));
    if (order !== "number") entries.sort((a, b) => b.facts[order] - a.facts[order]);
    // What a split will make has no figures yet; it stands behind the class that it comes from.
    for (const part of entries.filter(({ entry }) => app.parent(entry.number) !== undefined)) {
      const place = entries.findIndex(({ entry }) => entry.members.includes(app.parent(part.entry.number)));
      if (place < 0) continue;
      entries.splice(entries.indexOf(part), 1);
      let at = entries.findIndex(({ entry }) => entry.members.includes(app.parent(part.entry.number))) + 1;
      while (at < entries.length && app.parent(entries[at].entry.number) !== undefined
        && entries[at].entry.number < part.entry.number) at++;
      entries.splice(at, 0, part);
    }
    const shown = entries.filter(({ entry }) => !(by("only-unnamed").checked && entry.named));
    const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.keep : "";
    by("cards").replaceChildren(...shown.map(({ entry, facts }) => card(entry, facts)));
    if (focus) (document.querySelector(`[data-keep="${focus}"]`) || document.body).focus({ preventScroll: true });
    if (!shown.length) by("cards").append(make("p", { class: "quiet" }, "Every class has a name."));
    renderDropped();
    renderSelection();
  }

  function renderSelection() {
    by("selection").hidden = !chosen.size;
    by("selected-count").textContent = chosen.size === 1 ? "1 class" : `${chosen.size} classes`;
    by("join").disabled = by("join-name").disabled = chosen.size < 2;
    for (const element of document.querySelectorAll(".card")) {
      element.classList.toggle("chosen", chosen.has(Number(element.dataset.number)));
    }
  }

  function renderDropped() {
    const dropped = app.edits().drop;
    by("dropped").hidden = !dropped.length;
    by("dropped").querySelector(".chips").replaceChildren(...dropped.map((number) => {
      const fixed = !app.row(number);
      return make("button", { class: "chip", disabled: fixed,
        title: fixed ? "Dropped in the masks already" : "Make it a class again",
        onclick: () => app.change(Edits.restore(app.edits(), number), `Class ${number} is a class again.`) },
      swatch(app.index.palette[number]), `class ${number}`, fixed ? "" : " ↺");
    }));
  }

  function card(entry, facts) {
    const number = entry.number, keep = (what) => `${what}-${number}`;
    const wrong = make("p", { class: "wrong-name", hidden: true });
    const name = make("input", { class: "name", value: entry.named ? entry.name : "", placeholder: entry.name,
      maxLength: 200, autocomplete: "off", spellcheck: false, "aria-label": `Name of class ${number}`,
      "data-keep": keep("name") });
    name.onchange = () => renamed(entry, name.value, wrong);
    const colour = make("input", { type: "color", value: entry.colour, "aria-label": `Colour of class ${number}`,
      "data-keep": keep("colour"),
      onchange: () => app.change(Edits.recolour(app.edits(), number, colour.value), "Colour changed.") });
    const tick = make("input", { type: "checkbox", checked: chosen.has(number), "aria-label": `Choose class ${number}`,
      "data-keep": keep("choose"),
      onchange: () => { if (tick.checked) chosen.add(number); else chosen.delete(number); renderSelection(); } });
    const grip = make("span", { class: "grip", title: "Drag onto another class to join them",
      "aria-hidden": "true" }, "⠿");
    const element = make("article", { class: "card", id: `class-${number}`, "data-number": number },
      make("div", { class: "head" }, tick, colour, name, grip), wrong,
      make("div", { class: "share" }, make("i", { style: `width:${100 * facts.share}%;background:${entry.colour}` })),
      ...pending(entry),
      make("p", { class: "quiet" }, app.parent(number) !== undefined ? `class ${number} · not there yet`
        : `class ${number} · ${percent(facts.share)} of the pixels · ${facts.photographs} `
        + `photograph${facts.photographs === 1 ? "" : "s"} · doubt ${app.doubt(facts.doubt)}`),
      ...joinedChips(entry),
      ...crops("Most typical", facts.typical, entry), ...crops("Most doubtful", facts.doubtful, entry),
      ...neighbours("Borders on", facts.borders, percent),
      ...neighbours(app.index.alike === "model" ? "Most like (cosine of centroids)" : "Most like (by look)", facts.alike,
        (value) => value.toFixed(2)),
      make("div", { class: "chips", style: "margin-top:9px" },
        make("button", { class: "chip", disabled: !facts.photographs,
          onclick: () => app.photographsOf(number) }, "Photographs with it"),
        make("button", { class: "chip", "data-keep": keep("drop"),
          onclick: () => app.change(Edits.drop(app.edits(), [number]), "Dropped to void.") }, "Drop to void"),
        ...splitter(entry)));
    draggable(element, grip, number);
    return element;
  }

  function splitter(entry) {
    const pending = app.pendingSplits().some(([number]) => number === entry.number);
    if (!app.index.splits || pending || entry.members.length > 1 || !app.row(entry.number)) return [];
    const into = make("input", { type: "number", min: 2, max: 20, value: 2, "data-keep": `into-${entry.number}`,
      "aria-label": `Parts of class ${entry.number}` });
    return [make("span", { class: "split" }, make("button", { class: "chip", "data-keep": `split-${entry.number}`,
      title: "Cluster the class anew, into so many parts, when the edits are applied",
      onclick: () => {
        const parts = Math.max(2, Math.min(20, Math.round(Number(into.value)) || 2));
        app.change(Edits.split(app.edits(), entry.number, parts), `Class ${entry.number} will be ${parts} classes.`);
      } }, "Split into"), into)];
  }

  // What a card says of a split that is not applied yet.
  function pending(entry) {
    const parent = app.parent(entry.number), own = app.pendingSplits().filter(([number]) => number === entry.number);
    if (parent !== undefined) {
      return [make("p", { class: "pending" }, `Will be a part of what is class ${parent} now. Apply the edits to see it.`)];
    }
    if (!own.length) return [];
    const last = app.edits().split.at(-1)[0] === entry.number;
    return [make("p", { class: "pending" }, "Will be split when the edits are applied; these figures are of the whole. ",
      make("button", { class: "chip", disabled: !last, title: last ? "" : "Take the later split back first",
        onclick: () => app.change(Edits.unsplit(app.edits()), "Split taken back.") }, "Do not split"))];
  }

  function renamed(entry, text, wrong) {
    const same = app.legend().find((other) => other.number !== entry.number && other.name === text.trim());
    if (same) { // the likeliest reason to give a name twice is that it is one thing
      wrong.replaceChildren(nameOf(same.name), ` is the name of class ${same.number}. `,
        make("button", { class: "chip", onclick: () => joinChosen([same.number, entry.number]) }, "Join them"));
      wrong.hidden = false;
      return;
    }
    wrong.hidden = true;
    app.change(Edits.rename(app.edits(), entry.number, text), text.trim() ? "Named." : "Name taken back.");
  }

  function joinedChips(entry) {
    const fixed = new Set((app.index.fixed.find((group) => group[0] === entry.number) || []));
    const free = entry.members.slice(1);
    if (!free.length) return [];
    return [make("div", { class: "chips", style: "margin-top:6px" }, make("span", { class: "label" }, "joined:"),
      ...free.map((member) => make("button", { class: "chip", disabled: fixed.has(member) || !app.row(member),
        title: "Make it a class of its own again",
        onclick: () => app.change(Edits.part(app.edits(), entry.number, member), `Class ${member} is on its own again.`) },
      swatch(app.index.palette[member]), `class ${member}`, " ×")))];
  }

  function crops(title, list, entry) {
    if (!list.length) return [];
    return [make("div", { class: "label" }, title), make("div", { class: "row" },
      ...list.map(([file, photograph, doubt]) => make("button", {
        title: `${Edits.visible(app.index.photographs.name[photograph])} - doubt ${app.doubt(doubt)}`,
        onclick: () => app.view([photograph], 0, new Set(entry.members)) },
      make("img", { src: `crops/${file}`, loading: "lazy", alt: `${title}, in ${Edits.visible(app.index.photographs.name[photograph])}` }))))];
  }

  function neighbours(title, list, written) {
    if (!list.length) return [];
    return [make("div", { class: "label" }, title), make("div", { class: "chips" },
      ...list.map(([number, value]) => {
        const other = app.legend().find((entry) => entry.number === number);
        return make("button", { class: "chip", title: "Go to it", onclick: () => go(number) },
          swatch(other.colour), nameOf(other.name), ` ${written(value)}`);
      }))];
  }

  function go(number) {
    by("only-unnamed").checked = false;
    render();
    const element = by(`class-${number}`);
    element.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    element.querySelector("input.name").focus({ preventScroll: true });
  }

  // Pointer events, since a finger starts no drag of the browser's own.
  function draggable(element, grip, number) {
    let target;
    const aim = (event) => {
      const under = document.elementFromPoint(event.clientX, event.clientY);
      const card = under && under.closest(".card");
      if (target) target.classList.remove("target");
      target = card && card !== element ? card : undefined;
      if (target) target.classList.add("target");
      const edge = event.clientY < 90 ? -1 : event.clientY > innerHeight - 60 ? 1 : 0;
      if (edge) scrollBy(0, 24 * edge);
    };
    const end = (event) => {
      grip.onpointermove = null;
      element.classList.remove("dragged");
      if (target) target.classList.remove("target");
      if (target && event.type === "pointerup") joinChosen([Number(target.dataset.number), number]);
      target = undefined;
    };
    grip.onpointerdown = (event) => {
      event.preventDefault();
      grip.setPointerCapture(event.pointerId);
      element.classList.add("dragged");
      grip.onpointermove = aim;
    };
    grip.onpointerup = grip.onpointercancel = end;
  }

  const swatch = (colour) => make("span", { class: "swatch", style: `background:${colour}` });

  return { show, render, swatch };
})();
