// The theme lets wide tables scroll sideways, but by mouse and finger only. A focus makes the arrow keys work.
function makeFocusable() {
  for (const region of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    region.tabIndex = 0;
  }
}

new MutationObserver(makeFocusable).observe(document.documentElement, { childList: true, subtree: true });
