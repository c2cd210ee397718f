#include "assess/classes.h"

#include "base/buf.h"

#define INFO     SEVERITY_INFO
#define LOW      SEVERITY_LOW
#define MEDIUM   SEVERITY_MEDIUM
#define HIGH     SEVERITY_HIGH
#define CRITICAL SEVERITY_CRITICAL

/* name, title, what it is, what to do about it, CWE, severity, category */
const struct weakness weaknesses[] = {
    {"command-injection", "Command injection",
     "Text from outside becomes part of a command that a shell or another program reads, so that "
     "whoever supplies it can run commands of their own.",
     "Start the program directly with a list of arguments instead of a command line. Where a value "
     "must be part of one, accept only values from a fixed list, and put \"--\" before it.",
     78, HIGH, "INJECTION"},
    {"code-injection", "Code injection",
     "Text from outside is evaluated as code of the program's own language, or as a template.",
     "Do not evaluate text: parse the values that are expected (numbers, JSON), or choose one of a "
     "fixed set of functions by name.",
     94, HIGH, "INJECTION"},
    {"sql-injection", "SQL injection",
     "A query to a database is put together from text, so that values can change what it asks.",
     "Use parameters (prepared statements) for every value; take names of tables and columns from "
     "a fixed list.",
     89, HIGH, "INJECTION"},
    {"cross-site-scripting", "Cross-site scripting",
     "Text from outside is written into a page without being made inert, so that it can run as "
     "script in the browser of whoever looks at it.",
     "Escape for the place the text is written to (element, attribute, script, URL), best with a "
     "template engine that does so by itself; add a Content-Security-Policy.",
     79, HIGH, "OUTPUT_ENCODING"},
    {"path-traversal", "Path traversal",
     "A file name from outside is used as it came: with \"..\", an absolute path or a link it "
     "reaches files that were not meant.",
     "Resolve the name below a fixed directory and refuse what leaves it (openat2 with "
     "RESOLVE_BENEATH, or compare the resolved path), or map identifiers to names of your own.",
     22, HIGH, "INPUT_VALIDATION"},
    {"ssrf", "Server-side request forgery",
     "The program opens a URL that somebody else chose, and so reaches services that only it can "
     "reach, among them the metadata services of clouds.",
     "Allow a fixed list of hosts; check every address that a name resolves to, also after "
     "redirects, and refuse private, link-local and loopback ones.",
     918, HIGH, "INPUT_VALIDATION"},
    {"open-redirect", "Open redirect",
     "A visitor is sent to an address taken from the request, which makes links to this site lead "
     "to others.",
     "Redirect to relative paths or to addresses of a fixed list only.", 601, MEDIUM,
     "INPUT_VALIDATION"},
    {"xxe", "XML external entities",
     "An XML parser follows what the document names: files of the machine, other servers, or "
     "entities that grow without bound.",
     "Switch off document types and external entities, and limit how far entities expand.", 611,
     HIGH, "INJECTION"},
    {"unsafe-deserialization", "Unsafe deserialization",
     "Data from outside is turned into objects by a format that can name any class or run code "
     "while it is read.",
     "Use a format that holds data only (JSON with a schema, a safe YAML loader); authenticate "
     "what must keep its format before reading it.",
     502, HIGH, "INPUT_VALIDATION"},
    {"buffer-overflow", "Buffer overflow",
     "More is written to a buffer than fits into it, which overwrites memory beside it and may let "
     "an attacker take the program over.",
     "Pass the size of the destination and check the length before copying; use functions that "
     "take it (snprintf, strlcpy), and treat truncation as an error.",
     120, HIGH, "INPUT_VALIDATION"},
    {"out-of-bounds", "Access out of bounds",
     "Memory outside of an array or object is read or written, through an index or pointer that is "
     "not checked.",
     "Check each index and length against the size of what it is used on, also for negative values "
     "and for the last element.",
     125, HIGH, "INPUT_VALIDATION"},
    {"format-string", "Uncontrolled format string",
     "A format string is not constant: whoever controls it can read memory and, with %n, write it.",
     "Make the format a constant and pass text as its argument: printf(\"%s\", text).", 134, HIGH,
     "INPUT_VALIDATION"},
    {"integer-overflow", "Integer overflow",
     "A calculation leaves the range of its type, or a number is cut or changes its sign when it "
     "is converted; sizes and checks that are made from it are wrong.",
     "Check before calculating (or use __builtin_mul_overflow and its like), use unsigned types "
     "that are wide enough for sizes, and bound numbers where they are read.",
     190, MEDIUM, "INPUT_VALIDATION"},
    {"use-after-free", "Use after free",
     "Memory, or another resource, is used after it was given back; by then it may be something "
     "else's.",
     "Make clear who owns it, set pointers to NULL where they are freed, and do not hand out "
     "pointers that outlive their object.",
     416, HIGH, "OTHER"},
    {"double-free", "Double free",
     "Memory is freed twice, which breaks the allocator's records and may be used to take the "
     "program over.",
     "Free in one place only, and set the pointer to NULL there.", 415, HIGH, "OTHER"},
    {"null-dereference", "Null pointer dereference",
     "A pointer that may be NULL is followed, which ends the program.",
     "Check what may return NULL before it is used, and handle that case.", 476, MEDIUM, "OTHER"},
    {"memory-leak", "Resource leak",
     "Memory, a file or another resource is not given back on some path; a program that runs for "
     "long runs out of it.",
     "Release it on every way out, best by the language's own means (RAII, with, defer, "
     "__attribute__((cleanup))).",
     401, LOW, "OTHER"},
    {"uninitialized-memory", "Use of uninitialized memory",
     "A variable or memory is read before anything was written to it: its content is left over "
     "from something else, perhaps a secret.",
     "Initialize it where it is declared.", 457, MEDIUM, "OTHER"},
    {"race-condition", "Race condition",
     "Something is checked and then used, or shared between threads, and may change in between.",
     "Make check and use one step: open first and ask the descriptor (fstat, openat), use locks or "
     "atomic operations.",
     362, MEDIUM, "BUSINESS_LOGIC"},
    {"insecure-temporary-file", "Insecure temporary file",
     "A temporary file has a name that others can guess, in a directory that others can write to.",
     "Create it with mkstemp or its like, with mode 0600, in a directory of your own where "
     "possible.",
     377, MEDIUM, "CONFIGURATION"},
    {"insecure-permissions", "Insecure permissions",
     "A file, directory, process or object can be used by more people than should.",
     "Give the least that is needed: 0600 or 0640 for files, 0700 for directories; set the umask; "
     "drop privileges early and check that it worked.",
     732, MEDIUM, "AUTHORIZATION"},
    {"hardcoded-secret", "Hardcoded secret",
     "A password, key or token stands in the source, where everybody who can read the repository, "
     "or any copy of it, has it.",
     "Revoke it: it is in the history even if it is removed now. Read it from a secret store, a "
     "file or the environment, and keep it out of the repository.",
     798, HIGH, "CRYPTOGRAPHY"},
    {"weak-cryptography", "Weak cryptography",
     "A cipher, mode, key size or protocol is used that is broken or too weak for what it "
     "protects.",
     "Use AES-GCM or ChaCha20-Poly1305 with fresh nonces, TLS 1.2 or later, RSA of 2048 bits or "
     "more, or elliptic curves, from a library that chooses the parameters.",
     327, MEDIUM, "CRYPTOGRAPHY"},
    {"weak-hash", "Weak hash",
     "MD5, SHA-1 or another hash that is broken, or too fast, is used where somebody may profit "
     "from collisions or from guessing.",
     "Use SHA-256 or better; for passwords Argon2, scrypt or bcrypt with a salt. Where it is no "
     "matter of security, say so in the call (usedforsecurity=False).",
     328, MEDIUM, "CRYPTOGRAPHY"},
    {"weak-random", "Weak random numbers",
     "A random number generator that can be predicted is used where values must not be guessed.",
     "Use the system's: getrandom(), the secrets module, crypto.randomBytes, SecureRandom.", 338,
     MEDIUM, "CRYPTOGRAPHY"},
    {"certificate-validation", "Certificates are not checked",
     "A TLS connection is made without checking who is at its other end, so that anybody on the "
     "way can be.",
     "Leave the checks of certificate and host name on; add your own authority to the trusted ones "
     "instead of switching them off.",
     295, HIGH, "CRYPTOGRAPHY"},
    {"cleartext-transmission", "Cleartext transmission",
     "Data that should stay secret, or must not be changed, goes over the network without "
     "encryption.",
     "Use the protocol's variant with TLS, and refuse the other.", 319, MEDIUM, "DATA_EXPOSURE"},
    {"missing-authentication", "Missing or weak authentication",
     "A function can be used without proof of who asks, or with a proof that can be forged or "
     "guessed.",
     "Ask for authentication by default and name the exceptions; compare secrets in constant time "
     "and slow down guessing.",
     306, HIGH, "AUTHENTICATION"},
    {"missing-authorization", "Missing or wrong authorization",
     "It is not checked, or wrongly, whether the one who asks may do or see this.",
     "Check the right at each object on the server, by the caller's identity, not by what the "
     "request says; deny by default.",
     862, HIGH, "AUTHORIZATION"},
    {"csrf", "Cross-site request forgery",
     "A request that changes something is accepted from a browser without a sign that this site's "
     "own pages sent it.",
     "Use the framework's tokens, SameSite cookies, and check the Origin header.", 352, MEDIUM,
     "SESSION_MANAGEMENT"},
    {"session-management", "Weak session management",
     "Sessions or their cookies can be taken over, guessed, or live too long.",
     "Set Secure, HttpOnly and SameSite; make a new identifier at login; let sessions expire.", 384,
     MEDIUM, "SESSION_MANAGEMENT"},
    {"information-exposure", "Information exposure",
     "Details that help an attacker, or are private, are shown to those who should not have them: "
     "in errors, logs, listings or answers.",
     "Log details for yourself without secrets, answer with what is needed only, and clear memory "
     "that held secrets.",
     200, MEDIUM, "DATA_EXPOSURE"},
    {"debug-enabled", "Debugging left enabled",
     "A debug mode or development feature is on, which shows internals or lets others run code.",
     "Switch it off by default, and on by configuration of the development environment only.", 489,
     MEDIUM, "CONFIGURATION"},
    {"resource-exhaustion", "Resource exhaustion",
     "Input decides how much memory, time, files or processes are used, without a limit.",
     "Limit sizes, counts, depth and time before working on input; avoid regular expressions with "
     "nested repetition.",
     400, MEDIUM, "INPUT_VALIDATION"},
    {"unchecked-return", "Unchecked result",
     "A call can fail, and whether it did is not looked at, so that the program goes on with "
     "something that is not so.",
     "Check the result and handle the failure, above all of calls that drop privileges, allocate, "
     "or read.",
     252, LOW, "BUSINESS_LOGIC"},
    {"dangerous-function", "Dangerous function",
     "A function is used that is hard or impossible to use safely.", "Use its safe successor.", 676,
     LOW, "OTHER"},
    {"input-validation", "Missing input validation",
     "Input is used without checking that it is of the form that the code expects.",
     "Check type, length, range and characters where it enters, and refuse what does not fit.", 20,
     MEDIUM, "INPUT_VALIDATION"},
    {"insecure-configuration", "Insecure configuration",
     "A setting is less safe than it should be: exposed to all networks, permissive, or with "
     "default accounts.",
     "Choose the safe value, and say in a comment why where it must be another.", 16, MEDIUM,
     "CONFIGURATION"},
    {"container-misconfiguration", "Container misconfiguration",
     "A container runs as root, with more rights than it needs, or from an image that is not "
     "pinned.",
     "Run as a user of its own, drop capabilities, mount read-only, pin images by digest, and "
     "never share the container runtime's socket.",
     250, MEDIUM, "CONFIGURATION"},
    {"ci-misconfiguration", "Build pipeline misconfiguration",
     "A build or release pipeline lets code or text from outside run with its rights, or uses "
     "steps that can change without notice.",
     "Pass untrusted values by environment variables, give tokens the least rights, pin actions by "
     "commit, and do not check out foreign code where secrets are.",
     829, MEDIUM, "CONFIGURATION"},
    {"dependency-risk", "Risky dependency",
     "Code of others is fetched in a way that can change without notice, or is known to be "
     "vulnerable.",
     "Pin versions and check hashes or signatures; update what has known weaknesses.", 1357, MEDIUM,
     "DEPENDENCY"},
    {"agent-configuration", "Dangerous configuration of a coding agent",
     "Files in the repository make a coding agent or editor run commands, connect to servers or "
     "skip questions on the machine of whoever opens it.",
     "Remove hooks, servers and permissions from the repository, or have each user confirm them; "
     "review these files like code.",
     829, HIGH, "CONFIGURATION"},
    {"prompt-injection", "Prompt injection",
     "Text from outside becomes part of a prompt, or the repository has text that is meant to "
     "steer a language model.",
     "Keep instructions and data apart, give the model no rights that the text's author does not "
     "have, and check what it answers.",
     1427, MEDIUM, "INJECTION"},
    {"logic-error", "Error in logic",
     "The code does something else than what was evidently meant: a condition that is always true, "
     "a wrong operator, code that is never reached.",
     "Correct the condition, and add a test of the case.", 670, LOW, "BUSINESS_LOGIC"},
    {"shell-quoting", "Unquoted shell variable",
     "A shell splits a value at white space and expands wildcards in it, so that names with spaces "
     "or stars become several arguments, or options.",
     "Put the expansion into double quotes, use \"$@\" and arrays for lists, and \"--\" before "
     "names.",
     88, LOW, "INPUT_VALIDATION"},
    {"other", "Other weakness", "A weakness that has no class of its own here.",
     "Read what the engine says about it.", 0, MEDIUM, "OTHER"},
    {0},
};

const struct weakness *weakness_find(const char *name)
{
    for (const struct weakness *w = weaknesses; w->name; w++) {
        if (str_eq(w->name, name)) {
            return w;
        }
    }
    return NULL;
}
