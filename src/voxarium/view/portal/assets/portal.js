// Search and filters in the catalogue, and small helps on all pages. Pages say everything without it.

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// ------------------------------------------------------------------------------------------------------------ colours
const themes = ["auto", "light", "dark"];
const root = document.documentElement;
const themeButton = $(".theme");
function showTheme() {
  const name = root.dataset.theme ?? "auto";
  $(".theme-name", themeButton).textContent = name[0].toUpperCase() + name.slice(1);
}
if (themeButton) {
  themeButton.hidden = false;
  showTheme();
  themeButton.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? "auto") + 1) % themes.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // The choice then lasts as long as the page.
    }
    showTheme();
  });
}

// ----------------------------------------------------------------------------------------------------------- pictures
function forgetMissing(image) {
  if (image.complete && image.naturalWidth === 0 && image.src) image.remove();
  else image.addEventListener("error", () => image.remove(), { once: true });
}
$$("img").forEach(forgetMissing);

// --------------------------------------------------------------------------------------------------------------- copy
for (const place of $$("[data-here]")) place.textContent = new URL(place.dataset.here, document.baseURI).href;
for (const button of $$("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = $("code", button.parentElement);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      // No permission, or no secure connection: what is selected can be copied by hand.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
      return;
    }
    button.textContent = "Copied";
    button.classList.add("done");
    setTimeout(() => {
      button.textContent = "Copy";
      button.classList.remove("done");
    }, 1500);
  });
}

// -------------------------------------------------------------------------------------------------- page of a dataset
const register = $(".register");
for (const row of $$("[data-layer]")) {
  const number = row.dataset.layer;
  if (number === "") continue;
  const light = (on) => {
    for (const other of $$(`[data-layer="${CSS.escape(number)}"]`)) other.classList.toggle("lit", on);
    register?.classList.toggle("looking", on);
  };
  row.addEventListener("pointerenter", () => light(true));
  row.addEventListener("pointerleave", () => light(false));
}
const openNamed = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", openNamed);
openNamed();
const contents = new Map($$(".contents a").map((a) => [a.hash.slice(1), a]));
if (contents.size && "IntersectionObserver" in window) {
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) contents.get(entry.target.id)?.classList.toggle("here", entry.isIntersecting);
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );
  for (const id of contents.keys()) {
    const section = document.getElementById(id);
    if (section) seen.observe(section);
  }
}

// ---------------------------------------------------------------------------------------------------------- catalogue
const form = $("#query");
if (form) catalogue(form);

function catalogue(form) {
  const facets = $$("[data-facet]", form).map((f) => f.dataset.facet).filter((name) => name !== "voxel");
  const cards = $("#cards");
  const field = $("#q");
  const pageSize = 48;
  let datasets = null;
  let shown = pageSize;
  let loading = null;

  const wide = matchMedia("(min-width: 60.01rem)");
  const fold = () => ($(".filters").open = wide.matches);
  fold();
  wide.addEventListener("change", fold);

  function load() {
    loading ??= fetch(form.dataset.index, { credentials: "same-origin" })
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.status))))
      .then((index) => {
        datasets = index.datasets;
      })
      .catch(() => {
        loading = null;
      });
    return loading;
  }

  // -- the query, as fields and as an address
  const length = (text) => (text.trim() === "" || !(Number(text) >= 0) ? null : Number(text));
  function query() {
    const data = new FormData(form);
    return {
      words: data.get("q").trim().split(/\s+/).join(" "),
      facets: new Map(facets.map((f) => [f, data.getAll(f)]).filter(([, values]) => values.length)),
      low: length(data.get("voxel_min")),
      high: length(data.get("voxel_max")),
      sort: data.get("sort"),
    };
  }
  function addressOf(q) {
    const pairs = new URLSearchParams();
    if (q.words) pairs.append("q", q.words);
    for (const [name, values] of q.facets) for (const value of values) pairs.append(name, value);
    if (q.low !== null) pairs.append("voxel_min", q.low);
    if (q.high !== null) pairs.append("voxel_max", q.high);
    if (q.sort !== "name") pairs.append("sort", q.sort);
    return pairs.size ? `?${pairs}` : location.pathname;
  }
  function fill(pairs) {
    field.value = pairs.get("q") ?? "";
    for (const name of ["voxel_min", "voxel_max"]) form.elements[name].value = pairs.get(name) ?? "";
    form.elements.sort.value = pairs.get("sort") ?? "name";
    if (!form.elements.sort.value) form.elements.sort.value = "name";
    for (const name of facets) {
      const wanted = new Set(pairs.getAll(name));
      const place = $(`[data-facet="${name}"] .values`, form);
      const boxes = $$("input", place);
      for (const box of boxes) box.checked = wanted.delete(box.value);
      for (const value of wanted) place.append(choice(name, value, 0, true));
    }
  }

  // -- choosing: the same as the server does
  const within = (d, q) =>
    (q.low === null && q.high === null) ||
    (d.voxel !== null && (q.low === null || d.voxel >= q.low) && (q.high === null || d.voxel <= q.high));
  const has = (d, wanted, but) =>
    [...wanted].every(([name, values]) => name === but || values.some((v) => d[name].includes(v)));
  const byText = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const byName = (a, b) => byText(a.title.toLowerCase(), b.title.toLowerCase()) || byText(a.name, b.name);
  const orders = {
    name: byName,
    newest: (a, b) => byText(b.published, a.published) || byName(a, b),
    finest: (a, b) => (a.voxel ?? Infinity) - (b.voxel ?? Infinity) || byName(a, b),
    largest: (a, b) => b.nbytes - a.nbytes || byName(a, b),
  };
  function choose(q) {
    const words = q.words.toLowerCase().split(" ").filter(Boolean);
    const fitting = datasets.filter((d) => words.every((w) => d.text.includes(w)) && within(d, q));
    const counts = new Map();
    for (const name of facets) {
      const counted = new Map((q.facets.get(name) ?? []).map((v) => [v, 0]));
      for (const d of fitting) {
        if (has(d, q.facets, name)) for (const v of d[name]) counted.set(v, (counted.get(v) ?? 0) + 1);
      }
      counts.set(name, [...counted].sort((a, b) => b[1] - a[1] || byText(a[0].toLowerCase(), b[0].toLowerCase())));
    }
    return { items: fitting.filter((d) => has(d, q.facets)).sort(orders[q.sort] ?? byName), counts };
  }

  // -- drawing: texts only, never HTML
  const plural = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
  function card(d) {
    const item = $("#card").content.firstElementChild.cloneNode(true);
    const title = $("[data-field=title]", item);
    title.textContent = d.title;
    title.href = d.href;
    $("[data-field=kind]", item).textContent = [...d.organism, ...d.modality].join(" · ");
    $("[data-field=blurb]", item).textContent = d.blurb;
    const facts = [d.voxel_text, d.size_text, plural(d.layers, "layer"), ...d.license, d.release];
    $("[data-field=facts]", item).replaceChildren(
      ...facts.filter(Boolean).map((text) => Object.assign(document.createElement("li"), { textContent: text })),
    );
    if (d.cover) {
      const image = Object.assign(new Image(512, 384), { alt: "", loading: "lazy", decoding: "async", src: d.cover });
      forgetMissing(image);
      $(".cover", item).append(image);
    }
    return item;
  }
  function choice(name, value, count, checked) {
    const label = document.createElement("label");
    label.className = "choice";
    const box = Object.assign(document.createElement("input"), { type: "checkbox", name, value, checked });
    const text = Object.assign(document.createElement("span"), { textContent: value });
    label.append(box, text, Object.assign(document.createElement("span"), { className: "count", textContent: count }));
    return label;
  }
  function chip(text, remove) {
    const link = Object.assign(document.createElement("a"), { href: "#", textContent: text });
    link.setAttribute("aria-label", `Remove ${text}`);
    link.append(Object.assign(document.createElement("span"), { textContent: " ×", ariaHidden: "true" }));
    link.addEventListener("click", (event) => {
      event.preventDefault();
      remove();
      changed();
      field.focus();
    });
    const item = document.createElement("li");
    item.append(link);
    return item;
  }
  function draw() {
    const q = query();
    const { items, counts } = choose(q);
    cards.replaceChildren(...items.slice(0, shown).map(card));
    const all = datasets.length;
    $("#total").textContent =
      items.length === all ? plural(all, "dataset") : `${items.length.toLocaleString("en")} of ${plural(all, "dataset")}`;
    $("#nothing").hidden = items.length > 0;
    for (const name of facets) {
      const set = $(`[data-facet="${name}"]`, form);
      const focused = set.contains(document.activeElement) ? document.activeElement.value : null;
      const wanted = new Set(q.facets.get(name) ?? []);
      const found = counts.get(name).slice(0, 100);
      $(".values", set).replaceChildren(...found.map(([v, n]) => choice(name, v, n, wanted.has(v))));
      set.hidden = found.length === 0;
      if (focused !== null) $$("input", set).find((box) => box.value === focused)?.focus();
    }
    const chips = [];
    for (const [name, values] of q.facets) {
      for (const v of values) {
        chips.push(chip(v, () => ($$(`input[name="${name}"]`, form).find((box) => box.value === v).checked = false)));
      }
    }
    if (q.low !== null || q.high !== null) {
      const text = q.high === null ? `voxels from ${q.low} nm` : q.low === null ? `voxels up to ${q.high} nm` : `voxels ${q.low} to ${q.high} nm`;
      chips.push(chip(text, () => (form.elements.voxel_min.value = form.elements.voxel_max.value = "")));
    }
    $("#chips").replaceChildren(...chips);
    const rest = items.length - shown;
    const more = Object.assign(document.createElement("button"), { type: "button", textContent: `Show ${Math.min(rest, pageSize)} more` });
    more.addEventListener("click", () => {
      shown += pageSize;
      const next = cards.children.length;
      draw();
      $("a", cards.children[next])?.focus();
    });
    $("#pages").replaceChildren(...(rest > 0 ? [more] : []));
  }
  async function changed() {
    shown = pageSize;
    history.replaceState(null, "", addressOf(query()));
    await load();
    if (datasets) draw();
    else if (!("static" in form.dataset)) form.submit();
  }

  // -- listening
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    changed();
  });
  let waiting = 0;
  for (const what of ["input", "change"]) {
    form.addEventListener(what, (event) => {
      clearTimeout(waiting);
      waiting = setTimeout(changed, event.target.type === "checkbox" || event.target.tagName === "SELECT" ? 0 : 120);
    });
  }
  for (const link of $$(".clear, #nothing a", form)) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      fill(new URLSearchParams());
      changed();
    });
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName) && document.activeElement.type !== "checkbox";
    if (event.key === "/" && !typing) {
      event.preventDefault();
      field.focus();
      field.select();
    } else if (event.key === "Escape" && document.activeElement === field && field.value) {
      field.value = "";
      changed();
    } else if (/^Arrow(Down|Up|Left|Right)$/.test(event.key)) {
      moveAmongCards(event);
    }
  });
  function moveAmongCards(event) {
    const links = $$("h3 a", cards);
    const at = links.indexOf(document.activeElement);
    if (at < 0 && !(document.activeElement === field && event.key === "ArrowDown")) return;
    const columns = getComputedStyle(cards).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: at < 0 ? 1 : columns, ArrowUp: -columns }[event.key];
    const next = at + step;
    if (next < 0) field.focus();
    else links[Math.min(next, links.length - 1)]?.focus();
    event.preventDefault();
  }

  const idle = window.requestIdleCallback ?? ((then) => setTimeout(then, 200));
  if ("static" in form.dataset && location.search) {
    // A static page cannot know what its address asks for: it is looked up here.
    fill(new URLSearchParams(location.search));
    load().then(() => datasets && draw());
  } else {
    idle(load);
  }
  addEventListener("popstate", () => {
    fill(new URLSearchParams(location.search));
    load().then(() => datasets && draw());
  });
}
