// What has to hold of the report as a browser lays it out; says what does not as the body's data-problems.
// The address ends in #SCHEME,STREAMS: what the page should be like.
(() => {
  const problems = [];
  const [scheme, streams] = location.hash.slice(1).split(",");
  const check = (holds, problem) => holds || problems.push(problem);

  const parsed = (color) => {
    const found = /rgba?\((\d+), (\d+), (\d+)(?:, ([\d.]+))?\)/.exec(color);
    return found ? { rgb: found.slice(1, 4).map(Number), alpha: Number(found[4] ?? 1) } : null;
  };
  const luminance = (rgb) => {
    const linear = rgb.map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  // WCAG 2: 3 for what is drawn, 4.5 for text.
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parsed(getComputedStyle(at).backgroundColor);
      if (color && color.alpha > 0) return color.rgb;
    }
    return [255, 255, 255];
  };

  check(matchMedia("(prefers-color-scheme: dark)").matches === (scheme === "dark"), `the scheme is not ${scheme}`);
  const page = luminance(behind(document.body));
  check(scheme === "dark" ? page < 0.05 : page > 0.9, `the page's luminance is ${page}`);
  check(document.documentElement.scrollWidth <= innerWidth, `it is ${document.documentElement.scrollWidth} wide, the window ${innerWidth}`);

  const plots = [...document.querySelectorAll("svg.plot")];
  check(plots.length === 3 * Number(streams), `${plots.length} plots of ${streams} streams`);
  for (const plot of plots) {
    const name = plot.getAttribute("aria-label");
    const frame = plot.getBoundingClientRect();
    check(frame.width > 250 && frame.height > 100, `${name}: ${frame.width} x ${frame.height}`);
    const drawn = [...plot.querySelectorAll("[class^=s], [class^=f], .truth, .dot, .drift")];
    check(drawn.length > 1, `${name}: nothing is drawn`);
    const colors = new Set();
    for (const it of plot.querySelectorAll("*")) {
      const style = getComputedStyle(it);
      colors.add(style.stroke).add(style.fill);
    }
    for (const color of colors) {
      check(!/^rgb\([13], 0, \d+\)$/.test(color), `${name}: ${color} is no colour of the page`);
    }
    for (const it of drawn.filter((it) => it.getAttribute("class") !== "span")) {
      const style = getComputedStyle(it);
      const color = parsed(style.stroke !== "none" ? style.stroke : style.fill);
      const found = color ? contrast(color.rgb, behind(plot)) : 0;
      check(found >= 3, `${name}: ${it.getAttribute("class")} has contrast ${found.toFixed(1)}`);
    }
    const labels = [...plot.querySelectorAll("text")].map((it) => ({ label: it.textContent.trim(), box: it.getBoundingClientRect() }));
    check(labels.length >= 6, `${name}: ${labels.length} labels`);
    labels.forEach(({ label, box }, i) => {
      const inside = box.left >= frame.left - 1 && box.right <= frame.right + 1 && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1;
      check(inside, `${name}: label ${label} leaves the picture`);
      for (const other of labels.slice(i + 1)) {
        const apart = box.right <= other.box.left || other.box.right <= box.left || box.bottom <= other.box.top || other.box.bottom <= box.top;
        check(apart, `${name}: labels ${label} and ${other.label} overlap`);
      }
    });
  }
  for (const name of document.querySelectorAll("table:not(.pairs):not(.shares) td:nth-child(2)")) {
    const { width } = name.getBoundingClientRect();
    check(width >= 90, `the model ${name.textContent} has ${width} to stand in`);
  }
  for (const label of document.querySelectorAll("svg.plot text")) {
    const { height } = label.getBoundingClientRect();
    check(height >= 8, `label ${label.textContent.trim()} is ${height.toFixed(1)} high`);
  }
  for (const legend of document.querySelectorAll("ul.legend")) {
    const looks = [...legend.querySelectorAll("path")].map((key) => {
      const style = getComputedStyle(key);
      return `${style.stroke} ${style.strokeDasharray}`;
    });
    check(looks.length > 0 && new Set(looks).size === looks.length, `lines that look alike: ${looks.join("; ")}`);
  }
  for (const it of document.querySelectorAll("h1, h2, h3, p, th, td, li, figcaption, summary, code, text")) {
    const style = getComputedStyle(it);
    const color = parsed(it.tagName === "text" ? style.fill : style.color);
    const found = color ? contrast(color.rgb, behind(it)) : 0;
    if (it.textContent.trim()) check(found >= 4.5, `text "${it.textContent.trim().slice(0, 20)}" has contrast ${found.toFixed(1)}`);
  }
  // A page's worth is enough to see what is wrong.
  document.body.dataset.problems = problems.slice(0, 12).join(" | ").replaceAll('"', "'").replace(/\s+/g, " ") || "none";
})();
