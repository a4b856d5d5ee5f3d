// A small reader of the OpenAPI document of this host, with a form for each operation. It asks no other host for anything.
const description = await (await fetch("/openapi.json")).json();

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};
const nameOf = (reference) => reference.split("/").pop();

const typeOf = (schema) => {
  if (schema.$ref) return make("a", { href: `#schema-${nameOf(schema.$ref)}` }, nameOf(schema.$ref));
  if (schema.type === "array") return make("span", {}, "list of ", typeOf(schema.items));
  if (schema.enum) return make("code", {}, schema.enum.join(" | "));
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type;
  const bounds = schema.maximum === undefined ? "" : ` ${schema.minimum} to ${schema.maximum}`;
  return make("span", {}, type + bounds, schema.pattern ? make("code", {}, ` ${schema.pattern}`) : null);
};

const table = (rows, head) =>
  make("table", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text))), ...rows);

const parameterRows = (operation) =>
  operation.parameters.map((one) =>
    make("tr", {},
      make("td", {}, make("code", {}, one.name), make("span", { class: "quiet" }, ` ${one.in}${one.required ? "" : ", optional"}`)),
      make("td", {}, typeOf(one.schema)),
      make("td", {}, one.description),
      make("td", {}, make("input", { "aria-label": one.name, "data-name": one.name, "data-in": one.in, value: startOf(one) }))));

const startOf = (parameter) => {
  if (parameter.name === "Idempotency-Key") return crypto.randomUUID ? crypto.randomUUID() : String(Date.now());
  return parameter.in === "path" ? "1" : "";
};

const exampleOf = (schema) => {
  const body = {};
  for (const name of schema.required) body[name] = schema.properties[name].enum?.[0] ?? (schema.properties[name].type === "integer" ? 1 : "1");
  return JSON.stringify(body, null, 2);
};

const send = async (form, path, method, output) => {
  const headers = {};
  const token = document.getElementById("token").value;
  if (token) headers.Authorization = `Bearer ${token}`;
  const query = new URLSearchParams();
  let url = path;
  for (const input of form.querySelectorAll("input[data-in]")) {
    const { name, in: place } = input.dataset;
    if (place === "path") url = url.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (place === "header" && input.value) headers[name] = input.value;
    else if (place === "query" && input.value) query.set(name, input.value);
  }
  const body = form.querySelector("textarea")?.value;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const whole = query.size ? `${url}?${query}` : url;
  const answer = await fetch(whole, { method: method.toUpperCase(), headers, body });
  const text = await answer.text();
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* as it came */ }
  output.textContent = `${answer.status} ${answer.statusText}\n${[...answer.headers].map((pair) => pair.join(": ")).join("\n")}\n\n${shown}`;
};

const operationOf = (path, method, operation) => {
  const output = make("pre", { "aria-live": "polite" });
  const form = make("form");
  form.append(make("p", {}, operation.description));
  if (operation.parameters.length) form.append(table(parameterRows(operation), ["parameter", "type", "", "value"]));
  const reference = operation.requestBody?.content["application/json"].schema.$ref;
  if (reference) {
    const schema = description.components.schemas[nameOf(reference)];
    const area = make("textarea", { "aria-label": "body" });
    area.value = exampleOf(schema);
    form.append(make("p", {}, "body: ", typeOf({ $ref: reference })), area);
  }
  form.append(make("p", {}, make("button", {}, "Send")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, path, method, output).catch((error) => { output.textContent = String(error); });
  });
  const answers = Object.entries(operation.responses).map(([status, one]) => {
    const content = one.content && Object.values(one.content)[0].schema;
    return make("tr", {}, make("td", {}, status), make("td", {}, one.description), make("td", {}, content ? typeOf(content) : ""));
  });
  return make("details", { id: operation.operationId },
    make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("span", { class: "path" }, path), make("span", { class: "quiet" }, ` ${operation.summary}`)),
    form, output, make("h3", {}, "Answers"), table(answers, ["status", "", "content"]));
};

const schemaOf = (name, schema) =>
  make("details", { id: `schema-${name}` }, make("summary", {}, name), make("p", {}, schema.description ?? ""),
    table(Object.entries(schema.properties).map(([field, one]) =>
      make("tr", {}, make("td", {}, make("code", {}, field), schema.required?.includes(field) ? "" : make("span", { class: "quiet" }, " optional")),
        make("td", {}, typeOf(one)), make("td", {}, one.description ?? ""))), ["field", "type", ""]));

document.getElementById("title").textContent = `${description.info.title} REST ${description.info.version}`;
document.getElementById("introduction").textContent = description.info.description;
const index = document.getElementById("index");
for (const { name: tag } of description.tags) {
  const links = make("ul");
  const part = make("section", {}, make("h2", {}, tag));
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (!operation.tags.includes(tag)) continue;
      part.append(operationOf(path, method, operation));
      links.append(make("li", {}, make("a", { href: `#${operation.operationId}` }, operation.summary)));
    }
  }
  index.append(make("h2", {}, tag), links);
  document.getElementById("operations").append(part);
}
const schemas = document.getElementById("schemas");
schemas.append(make("h2", {}, "schemas"), ...Object.entries(description.components.schemas).map(([name, schema]) => schemaOf(name, schema)));
const open = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target?.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", open);
open();
