// A stand-in for the vendor's widget: a search box, its results, and the neuroon_clicks cookie.
(() => {
  const tag = document.currentScript;
  const token = tag.dataset.token;
  const container = document.querySelector(tag.dataset.container || "#neuroon-search");
  const searchUrl = new URL("/widget/search", tag.src);
  const COOKIE = "neuroon_clicks";
  const COOKIE_BYTES = 4096 - COOKIE.length - 1; // browsers count the name too
  const ENTRY = /"((?:[^"\\]|\\.)*)":"((?:[^"\\]|\\.)*)"/g;

  // The cookie may have been cut off in the middle of an entry, a character or a percent sign.
  function decodeWhatIsWhole(text) {
    for (let cut = 0; cut < 12; cut++) {
      try {
        return decodeURIComponent(text.slice(0, text.length - cut));
      } catch {
        // one character less, then
      }
    }
    return "";
  }

  function readClicks() {
    const pair = document.cookie.split("; ").find((item) => item.startsWith(COOKIE + "="));
    const text = decodeWhatIsWhole((pair ?? "").slice(COOKIE.length + 1));
    const entries = [...text.matchAll(ENTRY)].map(([entry]) => Object.entries(JSON.parse(`{${entry}}`))[0]);
    return Object.fromEntries(entries);
  }

  function rememberClick(externalId, searchLogId) {
    const { [externalId]: _before, ...others } = readClicks();
    const clicks = { [externalId]: searchLogId, ...others }; // the newest first: the end is what gets cut
    const value = encodeURIComponent(JSON.stringify(clicks)).slice(0, COOKIE_BYTES);
    document.cookie = `${COOKIE}=${value}; path=/; max-age=2592000; SameSite=Lax`;
  }

  function resultLink(product, searchLogId) {
    const link = document.createElement("a");
    const price = product.salePrice ?? product.price;
    link.href = /^https?:|^\//i.test(product.url) ? product.url : "#";
    link.textContent = `${product.name} · ${price} ${product.currency ?? ""}`;
    link.addEventListener("click", () => rememberClick(product.externalId, searchLogId));
    const item = document.createElement("li");
    item.append(link);
    return item;
  }

  const box = document.createElement("input");
  box.type = "search";
  box.placeholder = "Search…";
  box.setAttribute("aria-label", "Search the shop");
  const list = document.createElement("ul");
  container.append(box, list);

  let latest = 0;
  box.addEventListener("input", async () => {
    const search = ++latest;
    searchUrl.search = new URLSearchParams({ token, q: box.value });
    const response = await fetch(searchUrl);
    const answer = await response.json();
    if (search !== latest) return; // a newer search is under way
    if (!response.ok) {
      list.textContent = answer.message;
      return;
    }
    list.replaceChildren(...answer.results.map((product) => resultLink(product, answer.searchLogId)));
  });
})();
