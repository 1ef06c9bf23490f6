#!/usr/bin/env node
// Starts the program of the package for this platform, with the same arguments, input, output, signals and exit code.
"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const path = require("node:path");
const { isatty } = require("node:tty");

const platform = `${process.platform}-${process.arch}`;

/** Whether this system has glibc. Only asked if the packages for glibc and for musl are both installed. */
function hasGlibc() {
  process.report.excludeNetwork = true;
  return Boolean(process.report.getReport().header.glibcVersionRuntime);
}

/** The path of the program, or undefined if the package for this platform is not installed. */
function findProgram() {
  const installed = [platform, `${platform}-musl`].flatMap((name) => {
    try {
      return [require.resolve(`@tasktally/${name}/bin/tasktally`)];
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND") throw error;
      return [];
    }
  });
  return installed.length > 1 && !hasGlibc() ? installed[1] : installed[0];
}

/**
 * What TASKTALLY_LAUNCHER tells the program: `npx` if npx started this file, else the path of this file.
 *
 * npm_lifecycle_event is inherited by everything that npx starts, for example by an agent that starts an installed
 * tasktally. So the folder has to be that of npx, or its command this program.
 */
function startedBy() {
  const isNpx = process.env.npm_lifecycle_event === "npx";
  const isInItsFolder = __filename.split(path.sep).includes("_npx");
  const isItsCommand = /^["']?tasktally\b/.test(process.env.npm_lifecycle_script ?? "");
  return isNpx && (isInItsFolder || isItsCommand) ? "npx" : __filename;
}

function start(program) {
  const args = process.argv.slice(2);
  process.env.TASKTALLY_LAUNCHER = startedBy();
  // A terminal sends Ctrl-C to every process of its foreground group, so the program gets it without this file.
  const hasTerminal = isatty(0) || isatty(1);
  // Without a terminal, Node.js 22.15 and newer can become the program. With one it cannot: npx repeats the signals of a
  // terminal to the process that it started, and the program takes a second Ctrl-C as "stop at once".
  if (process.execve && !hasTerminal) process.execve(program, ["tasktally", ...args], process.env);

  const child = spawn(program, args, { argv0: "tasktally", stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]) {
    const isFromTerminal = hasTerminal && (signal === "SIGINT" || signal === "SIGQUIT");
    process.on(signal, () => isFromTerminal || child.kill(signal));
  }
  child.on("error", (error) => fail(`${program} cannot be started: ${error.message}`));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    // Ends by the same signal, so that a shell sees what it would see without this file.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    // SIGKILL and SIGTERM have ended this process by now; others may be ignored.
    setTimeout(() => process.exit(128 + constants.signals[signal]), 100);
  });
}

function fail(message) {
  process.stderr.write(`tasktally: ${message}\n`);
  process.exit(2);
}

const program = findProgram();
if (program) {
  start(program);
} else {
  const { optionalDependencies } = require("./package.json");
  const names = Object.keys(optionalDependencies);
  const isSupported = names.some((name) => name === `@tasktally/${platform}` || name === `@tasktally/${platform}-musl`);
  fail(
    isSupported
      ? `the package @tasktally/${platform} with the program is not installed. npm leaves it out with --omit=optional ` +
          "and if node_modules was made on another platform. Install again: npm install -g tasktally --include=optional"
      : `there is no package for ${platform}; there are ${names.join(", ")}. ` +
          "Build it from source: cargo install tasktally",
  );
}
