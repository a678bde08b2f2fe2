// What a checker of accessibility would find, by the rules that matter here (WCAG 2.2 AA), of what is on show now.
() => {
  const found = [];
  const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const told = (element) => `${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""} ${(element.textContent ?? "").trim().slice(0, 30)}`;
  const texts = (ids) => ids.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" ");

  // Names, roles, references
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => found.push(`id twice: ${id}`));
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "for"])
    for (const element of document.querySelectorAll(`[${attribute}]`))
      for (const id of element.getAttribute(attribute).split(/\s+/))
        if (!document.getElementById(id)) found.push(`${attribute} names nothing: ${id}`);
  for (const element of document.querySelectorAll("a[href], button, input, select, textarea, progress, [role=img]")) {
    if (!shown(element)) continue;
    const labels = [...(element.labels ?? [])].map((label) => label.textContent).join(" ");
    const own = element.matches("a, button") ? element.textContent : "";
    const name = element.getAttribute("aria-label") || texts(element.getAttribute("aria-labelledby") ?? "") || labels || own;
    if (!name.trim()) found.push(`no name: ${told(element)}`);
  }
  for (const image of document.images) if (!image.hasAttribute("alt")) found.push(`no alt: ${image.id}`);
  for (const table of document.querySelectorAll("table")) if (!table.caption) found.push("a table without a caption");
  for (const head of document.querySelectorAll("th")) if (!head.scope) found.push("a th without a scope");
  for (const landmark of ["header", "nav", "main", "footer"])
    if (document.querySelectorAll(`body > ${landmark}`).length !== 1) found.push(`not one ${landmark}`);
  if (!document.documentElement.lang || !document.title) found.push("no language or no title");
  const headings = [...document.querySelectorAll("main :is(h1, h2, h3)")].filter(shown).map((heading) => Number(heading.tagName[1]));
  if (headings.filter((level) => level === 1).length !== 1) found.push(`h1: ${headings}`);
  headings.forEach((level, at) => at && level > headings[at - 1] + 1 && found.push(`headings skip a level: ${headings}`));

  // Sizes (2.5.8) and overflow (1.4.10)
  for (const element of document.querySelectorAll("button, select, input:not([type=range])")) {
    const { width, height } = element.getBoundingClientRect();
    if (shown(element) && (width < 24 || height < 24) && element.type !== "checkbox") found.push(`small: ${told(element)} ${width}×${height}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push(`overflow by ${document.documentElement.scrollWidth - innerWidth} px`);
  for (const element of document.querySelectorAll("main *, header *")) {
    const { left, right, width } = element.getBoundingClientRect();
    if (shown(element) && width > 1 && (left < -1 || right > innerWidth + 1)) found.push(`outside: ${told(element)}`);
  }

  // Contrast (1.4.3): every text that is on show, against what is painted behind it
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const painted = (colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
    }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const grounds = (element) => (element ? [...grounds(element.parentElement), getComputedStyle(element).backgroundColor] : []);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts_seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !shown(element) || element.closest(":disabled, .visually-hidden, .skip, noscript, option, .compare-tag")) continue;
    texts_seen += 1;
    const style = getComputedStyle(element);
    const behind = grounds(element);
    const [one, other] = [luminance(painted([...behind, style.color])), luminance(painted(behind))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`contrast ${ratio.toFixed(2)}: ${told(element)}`);
  }
  if (texts_seen < 10) found.push(`only ${texts_seen} texts were looked at`);
  return [...new Set(found)];
}
