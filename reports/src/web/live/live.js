// Asks for the state once a second and puts it in place; goes to the run's page once it has results.
const state = document.getElementById("state"), silence = document.getElementById("silence");
async function refresh() {
  try {
    const answer = await fetch("state");
    state.innerHTML = await answer.text();
    state.dataset.refreshed = Number(state.dataset.refreshed ?? 0) + 1;
    silence.hidden = true;
    const then = state.querySelector("[data-then]");
    if (then) return location.replace(then.dataset.then);
  } catch {
    silence.hidden = false;
  }
  setTimeout(refresh, 1000);
}
setTimeout(refresh, 1000);
