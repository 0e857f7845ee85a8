// Gives every code block a button that copies it. A page without scripts has no buttons, and loses nothing else.
const announced = document.getElementById("announced");
for (const block of document.querySelectorAll("pre")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy: " + block.dataset.what);
  button.addEventListener("click", async () => {
    let done = true;
    try {
      await navigator.clipboard.writeText(block.textContent.trim());
    } catch {
      getSelection().selectAllChildren(block);
      done = document.execCommand("copy");
    }
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    announced.textContent = button.textContent;
    setTimeout(() => { button.textContent = "Copy"; announced.textContent = ""; }, 2000);
  });
  block.parentElement.append(button);
}
