// How a picture comes in: dropped, pasted, chosen, photographed, or one of the samples.

const $ = (id) => document.getElementById(id);

const nameOf = (file) => file.name || "pasted.png";

// `take(file, name)` for each; `refuse(sentence)` where what came is no file.
export function listen(take, refuse) {
  const all = (files) => {
    for (const file of files) take(file, nameOf(file));
  };
  for (const [button, input] of [["choose", "file"], ["new", "file"], ["shoot", "camera"]]) {
    $(button).addEventListener("click", () => $(input).click());
    $(input).addEventListener("change", () => {
      const files = [...$(input).files];
      $(input).value = ""; // the same file may be chosen again
      all(files);
    });
  }

  let depth = 0;
  const dragging = (on) => document.body.classList.toggle("dragging", on);
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    depth += 1;
    dragging(true);
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) dragging(false);
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser would leave the page for the file
    depth = 0;
    dragging(false);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) all(files);
    else refuse("That was no file. Save the picture first, then drop its file here.");
  });

  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return; // text, into a field
    event.preventDefault();
    all(files);
  });

  for (const button of document.querySelectorAll("[data-sample]")) {
    button.addEventListener("click", async () => {
      const name = button.dataset.sample;
      try {
        const answer = await fetch(`/page/${name}`);
        take(await answer.blob(), name);
      } catch {
        refuse("The server cannot be reached. Is it still running?");
      }
    });
  }
}
