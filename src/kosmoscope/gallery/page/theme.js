// Light and dark: as the system has it, until the visitor says otherwise.

const THEME_KEY = "kosmoscope-theme";
export const darkSystem = matchMedia("(prefers-color-scheme: dark)");

// Storage may be refused for pages opened from a file.
export function storedTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null;
  }
}

export function setTheme(theme, keep) {
  const root = document.documentElement;
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  else delete root.dataset.theme;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : darkSystem.matches;
  document.getElementById("theme").setAttribute("aria-pressed", String(dark));
  if (!keep) return;
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // Then it holds until the page is closed.
  }
}

export function toggleTheme() {
  const pressed = document.getElementById("theme").getAttribute("aria-pressed") === "true";
  setTheme(pressed ? "light" : "dark", true);
}
