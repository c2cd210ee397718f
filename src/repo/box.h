/*
 * box - a repository scan, inside: `scanpod repo-box`, the tool that the runner starts in a box
 * with `nest` for a job of the tool "repo".
 *
 *   checkout   git, in a box of its own, which alone reaches the proxy's CONNECT and gateway
 *   survey     what is in the tree: text, languages, what is left out and why; text that is not
 *              UTF-8 is rewritten as such; configuration of agents is moved away
 *   engines    each in a box of its own, side by side: tree read-only, no network (but the agent,
 *              which reaches the model's API through the proxy), no git, no home
 *   assess     findings are verified against the tree, identified, merged; written to stdout
 *
 * The tree lives in this box's /tmp, a tmpfs with caps on bytes and inodes, and is gone with it,
 * however it ends. Output: parse/parse.h, parser_repo. Standard error: what went wrong, one line,
 * for people; and "progress TASK PERCENT" lines. Exit status: 0 also when engines failed (the
 * record says so); 2 the checkout is refused or not to be had (not retried: no such branch,
 * authentication); 3 the checkout failed on its way (network: may be tried again); 4 a cap was
 * reached (the message names it); 1 anything else.
 */
#pragma once

/* argv as main() has it. Ends the process: nothing is left that needs cleaning up. */
int repo_box_main(int argc, char **argv);
