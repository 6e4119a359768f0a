// What the sandbox tells by server-sent events, drawn. Every text that comes from outside is set as text, never as HTML.
(() => {
  const at = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const whole = new Intl.NumberFormat("en");

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function money(amount, currency) {
    try {
      return new Intl.NumberFormat("en", { style: "currency", currency }).format(amount);
    } catch {
      const digits = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
      return `${new Intl.NumberFormat("en", digits).format(amount)} ${currency ?? ""}`.trim();
    }
  }

  const bytes = (count) => (count < 1000 ? `${count} B` : count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`);
  const duration = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);
  const words = (name) => name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");

  // Keeps the elements of what stays, so that nothing flickers and the focus is not lost.
  function draw(list, items, keyOf, create, update) {
    const known = new Map([...list.children].map((element) => [element.dataset.key, element]));
    const wanted = items.map((item) => {
      const key = String(keyOf(item));
      const element = known.get(key) ?? create(item);
      element.dataset.key = key;
      known.delete(key);
      const state = JSON.stringify(item);
      if (element.drawn !== state) update(element, item);
      element.drawn = state;
      return element;
    });
    for (const element of known.values()) element.remove();
    wanted.forEach((element, index) => {
      if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    });
  }

  // Totals

  function drawShop(shop) {
    for (const name of ["products", "requests", "throttled", "conversions"]) {
      at(`total-${name}`).textContent = whole.format(shop[name]);
    }
    at("total-throttled").classList.toggle("bad", shop.throttled > 0);
    at("products-empty").hidden = shop.products > 0;
    at("product-list").hidden = shop.products === 0;
    at("products-note").textContent = shop.products ? "the latest first" : "";
  }

  // Limits: one bar for each sixtieth of the window, requests let through below, refused ones above

  function createLimit() {
    const element = make("li", "limit");
    const chart = document.createElementNS(SVG, "svg");
    chart.setAttribute("viewBox", "0 0 60 40");
    chart.setAttribute("preserveAspectRatio", "none");
    chart.setAttribute("role", "img");
    const floor = document.createElementNS(SVG, "line");
    for (const [name, value] of Object.entries({ x1: 0, x2: 60, y1: 40, y2: 40 })) floor.setAttribute(name, value);
    chart.append(floor);
    for (const kind of ["answered", "refused"]) {
      for (let bar = 0; bar < 60; bar++) {
        const column = document.createElementNS(SVG, "rect");
        column.setAttribute("class", kind);
        column.setAttribute("x", bar + 0.1);
        column.setAttribute("width", 0.8);
        chart.append(column);
      }
    }
    const gauge = make("div", "gauge");
    gauge.append(make("i"));
    const axis = make("p", "axis");
    axis.append(make("span"), make("span", "", "now"));
    element.append(make("b"), make("p"), chart, axis, gauge);
    return element;
  }

  function drawLimit(element, limit) {
    const [title, line, chart, axis, gauge] = element.children;
    const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
    const answered = sum(limit.answered);
    const refused = sum(limit.refused);
    title.textContent = words(limit.name);
    const use = limit.requests === null
      ? `${whole.format(answered)} in ${limit.window} s, no limit`
      : `${limit.used} of ${limit.requests} in ${limit.window} s`;
    line.replaceChildren(make("span", "", use));
    if (refused) line.append(make("strong", "", `${whole.format(refused)} × 429`));
    chart.setAttribute("aria-label", `${words(limit.name)}: ${use}; ${refused} refused with 429`);
    axis.firstChild.textContent = `${limit.window} s ago`;
    const highest = Math.max(4, ...limit.answered.map((count, bar) => count + limit.refused[bar]));
    const columns = chart.querySelectorAll("rect");
    for (let bar = 0; bar < 60; bar++) {
      const good = (limit.answered[bar] / highest) * 40;
      const bad = (limit.refused[bar] / highest) * 40;
      columns[bar].setAttribute("y", 40 - good);
      columns[bar].setAttribute("height", good);
      columns[60 + bar].setAttribute("y", 40 - good - bad);
      columns[60 + bar].setAttribute("height", bad);
    }
    const share = limit.requests ? limit.used / limit.requests : 0;
    gauge.hidden = limit.requests === null;
    gauge.dataset.level = share >= 1 ? "full" : share >= 0.8 ? "high" : "low";
    gauge.firstChild.style.transform = `scaleX(${share})`;
  }

  // Products

  function picture(product) {
    const frame = make("div", "picture");
    const letter = make("span", "", [...(product.name ?? product.externalId).trim()][0]?.toUpperCase() ?? "·");
    letter.setAttribute("aria-hidden", "true");
    const sum = [...product.externalId].reduce((total, character) => (total * 31 + character.codePointAt(0)) % 9973, 7);
    letter.style.setProperty("--hue", (sum * 137.5) % 360); // the golden angle keeps neighbours apart
    if (/^https?:/i.test(product.imageUrl ?? "")) {
      const image = make("img");
      image.alt = "";
      image.loading = "lazy";
      image.addEventListener("error", () => image.replaceWith(letter));
      image.src = product.imageUrl;
      frame.append(image);
    } else {
      frame.append(letter);
    }
    return frame;
  }

  function priceOf(product) {
    const line = make("span", "price");
    if (product.price === undefined) return line;
    const reduced = product.salePrice != null && product.salePrice < product.price;
    line.append(make("strong", "", money(reduced ? product.salePrice : product.price, product.currency)));
    if (reduced) line.append(make("s", "", money(product.price, product.currency)));
    return line;
  }

  function variantsOf(product) {
    const list = make("ul", "variants");
    list.append(make("li", "", `${product.variantCount} variant${product.variantCount === 1 ? "" : "s"}`));
    for (const variant of product.variants) {
      const name = variant.name.startsWith(product.name) ? variant.name.slice(product.name.length).replace(/^[\s,·–-]+/, "") : variant.name;
      list.append(make("li", "", name || variant.externalId));
    }
    return list;
  }

  function drawProduct(element, product) {
    const about = make("div", "about");
    about.append(make("b", "", product.name ?? product.externalId), make("code", "", product.externalId), priceOf(product));
    if (product.variantCount) about.append(variantsOf(product));
    const off = product.isActive === false || product.inStock === false;
    element.toggleAttribute("data-off", off);
    if (off) about.append(make("small", "", product.isActive === false ? "Not active" : "Out of stock"));
    if (element.image === product.imageUrl && element.firstChild) {
      element.replaceChildren(element.firstChild, about);
    } else {
      element.replaceChildren(picture(product), about);
    }
    element.image = product.imageUrl;
  }

  function drawProducts(products) {
    draw(at("product-list"), products, (product) => product.externalId, () => make("li", "card"), drawProduct);
  }

  // Requests

  function kindOf(request) {
    if (!request.ended) return "open";
    if (request.status === null || request.status >= 500) return "bad";
    return request.status >= 400 ? "warn" : "good";
  }

  function drawRequest(element, request) {
    const status = make("span", "status", request.ended ? (request.status ?? "none") : "…");
    status.dataset.kind = kindOf(request);
    const what = make("div", "what");
    what.append(make("b", "", request.endpoint ? words(request.endpoint) : "Unknown path"));
    if (request.fault) what.append(make("em", "", "fault"));
    if (request.replayed) what.append(make("em", "", "seen before"));
    what.append(make("code", "", `${request.method} ${request.path}`));
    const size = make("span", "size", request.ended ? duration(request.ms) : "");
    if (request.bytes) size.append(make("br"), bytes(request.bytes));
    element.replaceChildren(status, what, size);
  }

  function drawRequests(requests) {
    at("requests-empty").hidden = requests.length > 0;
    at("request-list").hidden = requests.length === 0;
    draw(at("request-list"), requests, (request) => request.number, () => make("li"), drawRequest);
  }

  // Conversions

  function drawOrder(element, order) {
    const lines = order.lines === 1 ? "1 line" : `${order.lines} lines`;
    const again = order.deliveries > 1 ? `, delivered ${order.deliveries} times and counted once` : "";
    element.replaceChildren(
      make("b", "", order.orderId),
      make("strong", "", money(order.value, order.currency)),
      make("small", "", `${order.attributed} of ${lines} attributed${again}`),
    );
  }

  function drawConversions(orders) {
    at("conversions-empty").hidden = orders.length > 0;
    draw(at("conversion-list"), orders, (order) => order.orderId, () => make("li"), drawOrder);
  }

  // Faults

  const buttons = [...document.querySelectorAll(".fault")];

  function drawFaults(faults) {
    for (const button of buttons) {
      const fault = faults[button.dataset.fault];
      button.setAttribute("aria-checked", String(fault !== undefined));
      button.querySelector("output").textContent = fault?.fired ? `×${whole.format(fault.fired)}` : "";
    }
  }

  async function toggle(button) {
    const on = button.getAttribute("aria-checked") === "true";
    const often = document.querySelector("input[name=often]:checked").value;
    const body = JSON.stringify({ fault: button.dataset.fault, often: on ? null : often });
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch("/sandbox/faults", { method: "POST", headers, body });
    const label = button.querySelector("b").textContent;
    at("fault-status").textContent = answer.ok ? `${label} is ${on ? "off" : "on"}` : `${label} could not be changed`;
  }

  for (const button of buttons) button.addEventListener("click", () => toggle(button));

  // The widget remembers a click in its cookie; here nothing is left to go to.
  at("neuroon-search").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    at("click-note").textContent = `“${link.textContent}” is remembered in the cookie neuroon_clicks, as in a shop.`;
  });

  // The stream

  const drawings = {
    shop: drawShop,
    limits: (limits) => draw(at("limits"), limits, (limit) => limit.name, createLimit, drawLimit),
    products: drawProducts,
    requests: drawRequests,
    conversions: drawConversions,
    faults: drawFaults,
  };

  function show(state, text) {
    at("connection").dataset.state = state;
    at("connection").textContent = text;
  }

  const stream = new EventSource("/sandbox/events");
  stream.addEventListener("open", () => show("live", "Live"));
  stream.addEventListener("error", () => show("lost", "The sandbox has ended, or is starting again"));
  for (const [name, drawing] of Object.entries(drawings)) {
    stream.addEventListener(name, (event) => drawing(JSON.parse(event.data)));
  }
})();
