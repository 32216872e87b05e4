"use strict";
// Edits of classes as values, as in stego_cli/class_edits.py: {found, split: [[class, parts], ...], drop: [...],
// class: {number: {name, colour, joins, value}}}. No function changes what it is given.
const Edits = (() => {
  const copy = (edits) => JSON.parse(JSON.stringify(edits));
  const said = (edits, number) => edits.class[number] || {};

  // The number of classes with those that splits add.
  const count = (edits) => edits.split.reduce((sum, pair) => sum + pair[1] - 1, edits.found);

  // The classes that are left: {number, name, named, colour, members}.
  function legend(edits, palette) {
    const gone = new Set(edits.drop);
    for (const each of Object.values(edits.class)) for (const member of each.joins || []) gone.add(member);
    const left = [];
    for (let number = 0; number < count(edits); number++) {
      if (gone.has(number)) continue;
      const edit = said(edits, number);
      left.push({ number, name: edit.name === undefined ? `class ${number}` : edit.name, named: edit.name !== undefined,
        colour: edit.colour || palette[number], members: [number, ...(edit.joins || [])] });
    }
    return left;
  }

  function changed(edits, number, fields) {
    const after = copy(edits), edit = { ...said(after, number), ...fields };
    for (const key of Object.keys(edit)) {
      if (edit[key] === undefined || (key === "joins" && !edit[key].length)) delete edit[key];
    }
    if (Object.keys(edit).length) after.class[number] = edit; else delete after.class[number];
    return after;
  }

  // An empty name takes the name back.
  const rename = (edits, number, name) => changed(edits, number, { name: name.trim() === "" ? undefined : name.trim() });
  const recolour = (edits, number, colour) => changed(edits, number, { colour });

  function members(edits, number) {
    return [number, ...(said(edits, number).joins || [])];
  }

  // Joins classes to the first; its name, else the first name that one of them has, unless there is a new one.
  function join(edits, numbers, name) {
    const [target, ...others] = numbers;
    const names = numbers.map((number) => said(edits, number).name);
    const joins = numbers.flatMap((number) => members(edits, number)).filter((number) => number !== target);
    const after = copy(edits);
    for (const other of others) delete after.class[other];
    return changed(after, target, { name: name || names.find((each) => each !== undefined), joins });
  }

  // Makes `into` classes of one, which has a number of its own and the next free ones; their names are counted.
  function split(edits, number, into) {
    const first = count(edits), name = said(edits, number).name;
    let after = copy(edits);
    after.split.push([number, into]);
    if (name === undefined) return after;
    for (let place = 0; place < into; place++) {
      after = changed(after, place ? first + place - 1 : number, { name: `${name} ${place + 1}` });
    }
    return after;
  }

  // Takes the last split back, with all that was said about its parts; the class gets its name again.
  function unsplit(edits) {
    const after = copy(edits), [number] = after.split.pop(), left = count(after);
    for (const key of Object.keys(after.class)) {
      const edit = after.class[key];
      if (edit.joins) edit.joins = edit.joins.filter((member) => member < left);
      if (edit.joins && !edit.joins.length) delete edit.joins;
      if (Number(key) >= left || !Object.keys(edit).length) delete after.class[key];
    }
    after.drop = after.drop.filter((each) => each < left);
    const name = said(after, number).name;
    return name && name.endsWith(" 1") ? changed(after, number, { name: name.slice(0, -2) }) : after;
  }

  // Joins as a hierarchy of clusters has them when `wanted` classes are left. Classes with a name stay whole, and two
  // with different names apart; so do those that the masks have joined.
  function coarser(edits, hierarchy, fixed, wanted) {
    const owner = new Map(), all = count(edits), named = legend(edits, []).filter((entry) => entry.named);
    for (let number = 0; number < all; number++) if (!edits.drop.includes(number)) owner.set(number, [number]);
    const unite = (one, other) => {
      const [a, b] = [owner.get(one), owner.get(other)];
      if (!a || !b || a === b) return;
      if (a.named && b.named) return;
      const both = [...a, ...b].sort((x, y) => x - y);
      both.named = a.named || b.named;
      for (const member of both) owner.set(member, both);
    };
    for (const entry of named) for (const member of entry.members) unite(entry.number, member);
    for (const group of fixed) for (const member of group) unite(group[0], member);
    for (const entry of named) if (owner.get(entry.number)) owner.get(entry.number).named = entry;
    for (const [one, other] of hierarchy.slice(0, Math.max(0, hierarchy.length + 1 - wanted))) unite(one, other);
    let after = copy(edits);
    for (const edit of Object.values(after.class)) delete edit.joins;
    for (const group of new Set(owner.values())) {
      const target = group.named ? group.named.number : group[0], others = group.filter((each) => each !== target);
      for (const other of others) delete after.class[other];
      after = changed(after, target, { joins: others });
    }
    return after;
  }

  // Takes one member out of the class that it was joined to.
  const part = (edits, number, member) =>
    changed(edits, number, { joins: (said(edits, number).joins || []).filter((each) => each !== member) });

  function drop(edits, numbers) {
    const after = copy(edits);
    for (const number of numbers) {
      after.drop.push(...members(edits, number));
      delete after.class[number];
    }
    after.drop.sort((a, b) => a - b);
    return after;
  }

  function restore(edits, number) {
    const after = copy(edits);
    after.drop = after.drop.filter((each) => each !== number);
    return after;
  }

  // Why edits cannot be, as text; empty if they can.
  function problem(edits, palette) {
    const left = legend(edits, palette), owner = new Map();
    if (!left.length) return "All classes would be void.";
    if (edits.split.length && count(edits) > 255) return "There would be more than 255 classes.";
    if (left.length + (edits.drop.length ? 1 : 0) < 2 && count(edits) > 1) return "All classes would be one.";
    if (edits.drop.length) owner.set("void", 255);
    for (const each of left) {
      if (each.name === "void" && each.named) return "“void” is the name of what is dropped.";
      if ([...each.name].length > 200) return "A name has 200 letters at most.";
      if (owner.has(each.name)) return `Classes ${owner.get(each.name)} and ${each.number} would have the same name.`;
      owner.set(each.name, each.number);
    }
    return "";
  }

  const quoted = (text) => '"' + text.replace(/["\\\n\t\r]/g,
    (letter) => ({ '"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r" })[letter])
    .replace(/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
      (letter) => "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0")) + '"';

  // The text of classes.toml, the same as stego_cli/classes_toml.py writes.
  function toml(edits) {
    const lines = ["format = 1", `classes = ${edits.found}  # found; their numbers are 0 to ${edits.found - 1}`];
    if (edits.drop.length) lines.push(`drop = [${edits.drop.join(", ")}]  # these become void, 255`);
    if (edits.split.length) {
      const pairs = edits.split.map((pair) => `[${pair.join(", ")}]`).join(", ");
      lines.push(`split = [${pairs}]  # class, parts; with these, numbers are 0 to ${count(edits) - 1}`);
    }
    for (const number of Object.keys(edits.class).map(Number).sort((a, b) => a - b)) {
      const edit = edits.class[number];
      lines.push("", `[class.${number}]`);
      if (edit.name !== undefined) lines.push(`name = ${quoted(edit.name)}`);
      if (edit.colour !== undefined) lines.push(`colour = "${edit.colour}"`);
      if (edit.joins) lines.push(`joins = [${edit.joins.join(", ")}]`);
      if (edit.value !== undefined) lines.push(`value = ${edit.value}`);
    }
    return lines.join("\n") + "\n";
  }

  // A name with every letter that hides, or turns the text around it, written out.
  const visible = (name) => name.replace(
    /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (letter) => ({ "\n": "\\n", "\t": "\\t" })[letter] || "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0"));

  return { count, legend, rename, recolour, join, split, unsplit, coarser, part, drop, restore, problem, toml, visible };
})();
