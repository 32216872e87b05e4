"use strict";
// Starts the page: loads its data, keeps edits and their history, saves them, and ties the two views together.
(async () => {
  const by = (id) => document.getElementById(id);
  let history, at, index, saved, served, applied, saving = Promise.resolve();
  let legend, owners, colours;

  const app = {
    get index() { return index; },
    edits: () => history[at],
    legend: () => legend,
    owner: (number) => owners.get(number),
    colours: () => colours,
    row: (number) => index.rows.get(number),
    nameAt: (number) => owners.has(number) ? legend.find((entry) => entry.number === owners.get(number)).name : "void",
    voids: () => new Set([...app.edits().drop, 255]),
    shareIn(photograph, members) {
      const shares = index.photographs.shares[photograph];
      let sum = 0;
      for (let place = 0; place < shares.length; place += 2) if (members.has(shares[place])) sum += shares[place + 1];
      return sum;
    },
    photographsWith(members) {
      if (members.length === 1) return (app.row(members[0]) || { photographs: 0 }).photographs;
      const set = new Set(members);
      return index.photographs.shares.filter((_, photograph) => app.shareIn(photograph, set) > 0).length;
    },
    // A probability is shown in percent; what is judged by the look is no probability.
    doubt: (value) => index.doubt === "probabilities" ? percent(value) : value.toFixed(2),
    change, say, view: Photographs.view,
    // Splits that the masks do not have yet, and the class that a part of one will come from.
    pendingSplits: () => app.edits().split.slice(applied.split.length),
    parent(number) {
      let first = Edits.count(applied);
      for (const [from, into] of app.pendingSplits()) {
        if (number >= first && number < first + into - 1) return app.parent(from) ?? from;
        first += into - 1;
      }
      return undefined;
    },
    photographsOf(number) { open("photographs"); Photographs.filterBy(number); },
  };

  function say(text, wrong = false) {
    by("status").textContent = text;
    by("status").classList.toggle("wrong", wrong);
  }

  function change(edits, text) {
    const problem = Edits.problem(edits, index.palette);
    if (problem) { say(problem, true); renderAll(); return false; }
    if (JSON.stringify(edits) === JSON.stringify(history[at])) return true;
    history = [...history.slice(0, at + 1), edits];
    at++;
    say(text);
    changed();
    return true;
  }

  function step(by_) {
    if (at + by_ < 0 || at + by_ >= history.length) return;
    at += by_;
    say(by_ < 0 ? "Undone." : "Done again.");
    changed();
  }

  function changed() {
    renderAll();
    if (served) save();
  }

  function renderAll() {
    legend = Edits.legend(history[at], index.palette);
    owners = new Map(legend.flatMap((entry) => entry.members.map((member) => [member, entry.number])));
    colours = new Map(legend.flatMap((entry) => entry.members.map((member) => [member, entry.colour])));
    Classes.render();
    if (!by("photographs").hidden) Photographs.render();
    by("undo").disabled = at === 0;
    by("redo").disabled = at === history.length - 1;
    renderNext();
    const share = coverage();
    by("coverage").textContent = `${Math.floor(100 * share)} % of the pixels are named`;
    by("meter").value = share;
  }

  // The one line that says what is still to do, with the command.
  function renderNext() {
    const differs = JSON.stringify(sorted(app.edits())) !== JSON.stringify(sorted(applied));
    by("next").hidden = by("apply").hidden = true;
    by("save").classList.toggle("main", !served);
    if (!differs) return;
    const file = served ? saved.file : "classes.toml";
    const command = make("code", {}, `stego classes apply ${quoted(file)} --to ${quoted(index.masks)}`);
    by("next").replaceChildren(...(served
      ? ["The masks are as before until you press “Apply to the masks”, or run ", command]
      : ["The masks are as before until you download classes.toml and run ", command]));
    by("next").hidden = false;
    by("apply").hidden = !served;
  }

  // Edits with their keys in one order, to be compared.
  function sorted(edits) {
    const keys = Object.keys(edits.class).map(Number).sort((a, b) => a - b);
    return [edits.found, edits.split, edits.drop, keys.map((key) => {
      const { name, colour, joins, value } = edits.class[key];
      return [key, name, colour, joins, value];
    })];
  }

  const quoted = (path) => /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;

  async function apply() {
    await saving;
    const answer = await fetch("api/apply", { method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ digest: saved.digest }) });
    if (!answer.ok) { say(`Not applied: ${(await answer.json().catch(() => ({ error: answer.status }))).error}`, true); return; }
    by("applying").oncancel = (event) => event.preventDefault(); // it goes on whether it is shown or not
    by("applying").showModal();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const state = await (await fetch("api/apply")).json();
      by("applying-stage").textContent = state.stage || "Applying the edits to the masks.";
      if (state.total) by("applying-done").value = state.done / state.total; else by("applying-done").removeAttribute("value");
      if (state.running) continue;
      sessionStorage.setItem("said", state.error ? `Not applied: ${state.error}` : state.said);
      location.reload();
      return;
    }
  }

  // The share of the pixels that have a name or were dropped on purpose.
  function coverage() {
    const named = new Set(app.edits().drop);
    for (const entry of legend) if (entry.named) entry.members.forEach((member) => named.add(member));
    let sum = 0, all = 0;
    for (const row of index.classes) { all += row.share; if (named.has(row.number)) sum += row.share; }
    const before = 1 - all; // dropped in the masks already
    return Math.min(1, sum + (before > 1e-6 ? before : 0));
  }

  function save() {
    if (!served) { download(); return saving; }
    saving = saving.then(async () => {
      const edits = app.edits();
      const answer = await fetch("api/classes", { method: "PUT", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ edits, digest: saved.digest }) });
      const content = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
      if (!answer.ok) throw new Error(content.error);
      saved = content;
      by("save").textContent = "Saved";
    }).catch((error) => {
      by("save").textContent = "Save again";
      say(`Not saved: ${error.message}`, true);
    });
    return saving;
  }

  function download() {
    const address = URL.createObjectURL(new Blob([Edits.toml(app.edits())], { type: "application/toml" }));
    make("a", { href: address, download: "classes.toml" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    saved = JSON.stringify(app.edits());
    say("classes.toml was downloaded.");
  }

  function open(name) {
    for (const each of ["classes", "photographs"]) {
      by(each).hidden = each !== name;
      by(`tab-${each}`).setAttribute("aria-selected", String(each === name));
      by(`tab-${each}`).tabIndex = each === name ? 0 : -1;
    }
    by("selection").hidden = true;
    renderAll();
  }

  function listen() {
    for (const name of ["classes", "photographs"]) {
      by(`tab-${name}`).onclick = () => open(name);
      by(`tab-${name}`).onkeydown = (event) => {
        if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
        const other = name === "classes" ? "photographs" : "classes";
        open(other);
        by(`tab-${other}`).focus();
      };
    }
    by("undo").onclick = () => step(-1);
    by("redo").onclick = () => step(1);
    by("save").onclick = save;
    by("apply").onclick = () => apply().catch((error) => { by("applying").close(); say(`The server is gone: ${error.message}`, true); });
    document.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.target.matches("input.name, input[type=search], #join-name")) return;
      const key = event.key.toLowerCase();
      if (key === "z") { event.preventDefault(); step(event.shiftKey ? 1 : -1); }
      if (key === "y") { event.preventDefault(); step(1); }
    });
    window.addEventListener("beforeunload", (event) => {
      if (!served && at > 0 && JSON.stringify(app.edits()) !== saved) event.preventDefault();
    });
  }

  async function begin() {
    index = await load("index");
    index.rows = new Map(index.classes.map((row) => [row.number, row]));
    let edits;
    if (location.protocol.startsWith("http")) {
      const answer = await fetch("api/classes").catch(() => ({ ok: false }));
      if (answer.ok) { saved = await answer.json(); ({ edits, applied } = saved); served = true; }
    }
    if (!served) ({ edits, applied } = await load("classes"));
    history = [edits];
    at = 0;
    if (served) by("save").textContent = "Saved";
    const folder = index.masks.split(/[\\/]/).pop();
    document.title = `${Edits.visible(folder)} - stego gallery`;
    document.querySelector("h1").replaceChildren("Classes of ", nameOf(folder));
    legend = [];
    owners = colours = new Map();
    listen();
    Photographs.show(app);
    renderFirst();
  }

  function renderFirst() {
    legend = Edits.legend(history[at], index.palette);
    owners = new Map(legend.flatMap((entry) => entry.members.map((member) => [member, entry.number])));
    colours = new Map(legend.flatMap((entry) => entry.members.map((member) => [member, entry.colour])));
    Classes.show(app);
    renderAll();
    const said = sessionStorage.getItem("said"); // by the page before it was loaded again
    if (served && said) { sessionStorage.removeItem("said"); say(said, said.startsWith("Not")); }
    document.body.dataset.ready = "yes";
  }

  try {
    await begin();
  } catch (error) {
    say(`This gallery cannot be shown: ${error.message}`, true);
  }
})();
