// Shows the API's description. Everything is made by createElement, so that no text can become markup.

const METHODS = ["get", "post", "delete"];

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child != null));
  return element;
}

// Text with `code` in it.
function prose(text) {
  return text.split("`").map((part, n) => (n % 2 ? make("code", {}, part) : part));
}

function resolve(document_, schema) {
  if (!schema.$ref) return [schema, null];
  const path = schema.$ref.slice(2).split("/");
  return [path.reduce((at, part) => at[part], document_), path.at(-1)];
}

function kindOf(document_, schema) {
  const [found, name] = resolve(document_, schema);
  if (found.type === "array") return `list of ${kindOf(document_, found.items)}`;
  if (found.additionalProperties) return `map to ${kindOf(document_, found.additionalProperties)}`;
  if (name) return name;
  return found.enum ? found.enum.join(" | ") : (found.format ?? found.type);
}

function inner(document_, schema) {
  const [found] = resolve(document_, schema);
  if (found.type === "array") return inner(document_, found.items);
  if (found.additionalProperties) return inner(document_, found.additionalProperties);
  return found;
}

function fields(document_, schema) {
  const list = make("ul", { class: "fields" });
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const label = [make("code", {}, name), make("span", { class: "quiet" }, ` ${kindOf(document_, property)}`)];
    const below = inner(document_, property);
    const what = property.description ? make("div", { class: "what" }, ...prose(property.description)) : null;
    if (below.properties || (below.enum && below.description)) {
      // Filled when it is opened: messages contain one another.
      const details = make("details", {}, make("summary", {}, ...label));
      details.addEventListener("toggle", () => {
        if (details.childElementCount > 1) return;
        details.append(
          below.properties ? fields(document_, below) : make("div", { class: "what" }, ...prose(below.description)),
        );
      });
      list.append(make("li", {}, details, what));
    } else {
      list.append(make("li", {}, ...label, what));
    }
  }
  return list;
}

function parameters(document_, operation) {
  if (!operation.parameters?.length) return null;
  const properties = Object.fromEntries(
    operation.parameters.map((each) => [each.name, { ...each.schema, description: each.description }]),
  );
  return make("section", {}, make("h3", {}, "Parameters"), fields(document_, { properties }));
}

function content(document_, title, carrier) {
  const [kind, media] = Object.entries(carrier?.content ?? {})[0] ?? [];
  if (!kind) return null;
  const schema = inner(document_, media.schema);
  return make("section", {}, make("h3", {}, `${title}: ${kind}`), fields(document_, schema));
}

function curl(path, method, operation) {
  const parts = ["curl"];
  if (method !== "get") parts.push(`-X ${method.toUpperCase()}`, "-H 'X-Requested-With: imagesearch'");
  if (operation.requestBody?.content["image/*"]) parts.push("--data-binary @photo.jpg");
  if (operation.requestBody?.content["application/json"]) {
    parts.push("-H 'Content-Type: application/json'", "-d '{…}'");
  }
  return `${parts.join(" ")} ${location.origin}/api/v1${path}`;
}

function section(document_, path, method, operation) {
  const answer = operation.responses["200"] ?? operation.responses["201"];
  return make(
    "details",
    { class: "operation", id: operation.operationId },
    make(
      "summary",
      {},
      make("span", { class: `method ${method}` }, method.toUpperCase()),
      make("code", {}, path),
      make("span", { class: "quiet" }, ` ${operation.summary}`),
    ),
    make("p", {}, ...prose(operation.description)),
    make("pre", { tabindex: "0" }, curl(path, method, operation)),
    parameters(document_, operation),
    content(document_, "Body", operation.requestBody),
    content(document_, "Answer", answer),
  );
}

function show(document_) {
  const main = document.getElementById("operations");
  const byTag = new Map();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const method of METHODS) {
      const operation = methods[method];
      if (!operation) continue;
      const [tag] = operation.tags;
      if (!byTag.has(tag)) byTag.set(tag, make("section", {}, make("h2", {}, tag)));
      byTag.get(tag).append(section(document_, path, method, operation));
    }
  }
  const about = document_.info.description.split("\n\n").map((text) => make("p", {}, ...prose(text)));
  main.replaceChildren(...about, ...byTag.values());
  main.removeAttribute("aria-busy");
  document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
}

try {
  const answer = await fetch("/api/v1/openapi.json");
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  show(await answer.json());
} catch (error) {
  document.getElementById("operations").replaceChildren(
    make("p", { role: "alert" }, `The description cannot be read: ${error.message}`),
  );
}
