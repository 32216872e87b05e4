"use strict";
// Edits of classes as values, as in stego_cli/class_edits.py: {found, drop: [...], class: {number: {name, colour,
// joins, value}}}. No function changes what it is given.
const Edits = (() => {
  const copy = (edits) => JSON.parse(JSON.stringify(edits));
  const said = (edits, number) => edits.class[number] || {};

  // The classes that are left: {number, name, named, colour, members}.
  function legend(edits, palette) {
    const gone = new Set(edits.drop);
    for (const each of Object.values(edits.class)) for (const member of each.joins || []) gone.add(member);
    const left = [];
    for (let number = 0; number < edits.found; number++) {
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
    if (left.length + (edits.drop.length ? 1 : 0) < 2 && edits.found > 1) return "All classes would be one.";
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

  return { legend, rename, recolour, join, part, drop, restore, problem, toml, visible };
})();
