/* Which function a line belongs to, in the languages that are known. */
#include <time.h>

#include "assess/identity.h"
#include "tap.h"

/* Lines of the text that say "%NAME" must be in NAME; those with "%-" in none. */
static void check_text(const char *path, const char *text)
{
    struct source s;
    int seen = 0;

    source_init(&s, path, text, strlen(text));
    for (int32_t line = 1; line <= s.lines; line++) {
        size_t n;
        const char *p = source_line(&s, line, &n), *got;
        size_t at = n, len = 0;
        auto_free char *want = NULL;

        while (at > 0 && p[at - 1] != '%') {
            at--;
        }
        if (at < 2 || p[at - 2] != ' ') {
            continue;
        }
        while (at + len < n && !strchr(" '<", p[at + len])) {
            len++;
        }
        want = xstrndup(p + at, len);
        got = source_function(&s, line);
        if (!str_eq(got ? got : "-", want)) {
            tap_fail(__FILE__, __LINE__, "%s:%d is in %s, not in %s", path, line,
                     got ? got : "(none)", want);
        }
        seen++;
    }
    CHECK(seen > 0);
    source_done(&s);
}

static void functions_of_c_hold_their_lines(void)
{
    check_text("a.c", "#include <x.h> // %-\n"
                      "static int x = 3; // %-\n"
                      "struct s { int a; // %-\n"
                      "};\n"
                      "int f(int a) // %f\n"
                      "{\n"
                      "    char *s = \"}}}\"; // %f\n"
                      "    char c = '}'; /* } %f */\n"
                      "    if (a) { return 1; // %f\n"
                      "    }\n"
                      "    LIST_FOREACH(a, b) { x(); // %f\n"
                      "    }\n"
                      "    return '\\''; // %f\n"
                      "} // %f\n"
                      "int y[] = { 1, // %-\n"
                      "};\n"
                      "__attribute__((noreturn)) static void // %g\n"
                      "g(void) // %g\n"
                      "{ // %g\n"
                      "}\n"
                      "struct s *h(struct s *p, int (*cb)(int)) { // %h\n"
                      "    struct s v = { .a = 1, // %h\n"
                      "    };\n"
                      "    return p; // %h\n"
                      "}\n"
                      "int old(a, b) // %old\n"
                      "    int a;\n"
                      "    char *b;\n"
                      "{\n"
                      "    return a; // %old\n"
                      "}\n"
                      "int proto(int) NOTHROW;\n"
                      "struct t { // %-\n"
                      "};\n"
                      "extern \"C\" {\n"
                      "EXPORT(int) z(int a) { // %z\n"
                      "    return 0; // %z\n"
                      "}\n"
                      "}\n"
                      "int last(void) { return 0; } // %last\n");
}

static void the_preprocessors_two_ways_begin_where_the_first_did(void)
{
    check_text("a.c", "int f(int a)\n"
                      "{\n"
                      "#ifdef A\n"
                      "    if (a) {\n"
                      "        x(); // %f\n"
                      "#else\n"
                      "    if (!a) {\n"
                      "        y(); // %f\n"
                      "#endif\n"
                      "    }\n"
                      "    z(); // %f\n"
                      "}\n"
                      "// %-\n"
                      "#if X\n"
                      "int g(int a) {\n"
                      "#elif Y \\\n"
                      "   && Z {\n"
                      "int g(long a) {\n"
                      "#else\n"
                      "int g(void) {\n"
                      "#endif\n"
                      "    return 1; // %g\n"
                      "}\n"
                      "int h(void) {\n"
                      "    if (a) {\n"
                      "#ifdef A\n"
                      "        b();\n"
                      "    }\n"
                      "#else\n"
                      "        c(); }\n"
                      "#endif\n"
                      "    return 2; // %h\n"
                      "}\n"
                      "int i(void) { // %i\n"
                      "}\n");
}

static void methods_of_cxx_are_told_with_their_class(void)
{
    check_text("a.cpp", "namespace n {\n"
                        "template <typename T = int> class Box : public Base<T> { // %-\n"
                        "public:\n"
                        "    Box(int a) : a_{a}, b_(a) { x(); // %Box::Box\n"
                        "    }\n"
                        "    ~Box() { y(); // %Box::~Box\n"
                        "    }\n"
                        "    bool operator==(const Box &o) const { return z; // %Box::operator==\n"
                        "    }\n"
                        "    void call() const noexcept(true) override { // %Box::call\n"
                        "        auto l = [&](int q) { return q; // %Box::call\n"
                        "        };\n"
                        "        const char *r = R\"x(}}} \" )\" )x\"; // %Box::call\n"
                        "        int big = 1'000'000; // %Box::call\n"
                        "    }\n"
                        "    int field; // %-\n"
                        "};\n"
                        "} // namespace n\n"
                        "void Outer::run(int a) { // %Outer::run\n"
                        "}\n"
                        "Outer::~Outer() { // %Outer::~Outer\n"
                        "}\n"
                        "template <class T> T *make(T t) { // %make\n"
                        "}\n");
}

static void java_and_csharp_are_read(void)
{
    check_text("A.java", "package a; // %-\n"
                         "@Deprecated(since = \"{\")\n"
                         "public class A<T extends B> implements C { // %-\n"
                         "    private int x = 3; // %-\n"
                         "    @Test(expected = X.class)\n"
                         "    public <U> List<Map<U, T>> get(int a) throws E { // %A.get\n"
                         "        Runnable r = new Runnable() {\n"
                         "            public void run() { // %run\n"
                         "                x(); // %run\n"
                         "            }\n"
                         "        };\n"
                         "        list.forEach(i -> { y(); // %A.get\n"
                         "        });\n"
                         "        String t = \"\"\"\n"
                         "            }}} \" %A.get\n"
                         "            \"\"\";\n"
                         "        synchronized (this) { z(); // %A.get\n"
                         "        }\n"
                         "    }\n"
                         "    A() { // %A.A\n"
                         "    }\n"
                         "    class Inner { void f() { // %Inner.f\n"
                         "    } }\n"
                         "}\n");
    check_text("a.cs", "namespace N {\n"
                       "class A : B {\n"
                       "    [Attr(\"}\")] public int P { get { return p; // %A.P\n"
                       "    } set { p = value; } }\n"
                       "    public new void F<T>(T t) where T : new() { // %A.F\n"
                       "        var s = @\"c:\\\"; var u = $\"{s}\"; // %A.F\n"
                       "    }\n"
                       "#region x {\n"
                       "    async Task<int> G() { // %A.G\n"
                       "        foreach (var a in b) { c(); // %A.G\n"
                       "        }\n"
                       "    }\n"
                       "#endregion\n"
                       "} }\n");
}

static void go_rust_swift_and_kotlin_are_read(void)
{
    check_text("a.go",
               "package a // %-\n"
               "type T struct { // %-\n"
               "    a int\n"
               "}\n"
               "func (t *T) Push(x interface{}, f func(int) int) (int, error) { // %T.Push\n"
               "    s := `}}}\n"
               "    }`\n"
               "    go func() { y() // %T.Push\n"
               "    }()\n"
               "    return 0, nil // %T.Push\n"
               "}\n"
               "func (l List[K]) Map() map[string]struct{} { // %List.Map\n"
               "    return nil // %List.Map\n"
               "}\n"
               "var v = 3 // %-\n"
               "func Generic[T any](x T) struct{ a int } { // %Generic\n"
               "    r := '}' // %Generic\n"
               "}\n"
               "func main() { // %main\n"
               "}\n");
    check_text("a.rs",
               "use std::x; // %-\n"
               "impl<'a, T: Clone> Show<T> for Bar<'a, T> where T: X {\n"
               "    pub async fn show<U: Y>(&'a self, c: char) -> Result<(), U> { // %Bar::show\n"
               "        if c == '{' || c == '\\'' { x(); // %Bar::show\n"
               "        }\n"
               "        let s = r#\"}}\"}\"#; // %Bar::show\n"
               "        let f = |x| { x }; // %Bar::show\n"
               "    }\n"
               "}\n"
               "#[test]\n"
               "unsafe fn plain(f: fn(i32) -> i32) { /* /* } */ } %plain */\n"
               "    y(); // %plain\n"
               "}\n"
               "struct S { f: fn(i32), } // %-\n"
               "trait Q { fn no(&self); fn yes(&self) { z(); // %Q::yes\n"
               "} }\n");
    check_text("a.swift", "class A: B { // %-\n"
                          "    var p: Int { return 1 // %A.p\n"
                          "    }\n"
                          "    init(x: Int) { // %A.init\n"
                          "    }\n"
                          "    class func make<T>(a: T) throws -> A where T: Q { // %A.make\n"
                          "        list.map { $0 + 1 } // %A.make\n"
                          "    }\n"
                          "}\n");
    check_text("a.kt", "class A(val x: Int) : B(x) { // %-\n"
                       "    fun <T> go(a: T): Int { // %A.go\n"
                       "        list.forEach { y() } // %A.go\n"
                       "    }\n"
                       "}\n"
                       "fun main() { // %main\n"
                       "    val s = \"\"\"}\"\"\" // %main\n"
                       "}\n");
}

static void scripts_have_functions_methods_and_named_closures(void)
{
    check_text("a.ts", "import x from 'y' // %-\n"
                       "function plain(a: {b: number}): void { // %plain\n"
                       "    const t = `a ${b ? `}` : '}'} }`; // %plain\n"
                       "    const r = /[/}]{/g.test(x) // %plain\n"
                       "    if (a) { c() // %plain\n"
                       "    }\n"
                       "} // %plain\n"
                       "const arrow = async (a) => { // %arrow\n"
                       "    b() // %arrow\n"
                       "}\n"
                       "const d = 4 / 2 // %-\n"
                       "exports.old = function (a) { // %old\n"
                       "    list.map(function () { return x // %old\n"
                       "    })\n"
                       "    list.map(y => { z() // %old\n"
                       "    })\n"
                       "}\n"
                       "class K extends M(N) {\n"
                       "    field = 1 // %-\n"
                       "    constructor(a) { // %K.constructor\n"
                       "    }\n"
                       "    static async *gen(a: string): AsyncGenerator<string> { // %K.gen\n"
                       "    }\n"
                       "    handler = (e) => { x() // %K.handler\n"
                       "    }\n"
                       "}\n"
                       "export default { // %-\n"
                       "    data() { return 1 // %data\n"
                       "    },\n"
                       "    methods: { go: function () { y() // %go\n"
                       "    }, stop() { z() // %stop\n"
                       "    } }\n"
                       "}\n");
    check_text("a.php", "<p>It's { not code %-</p>\n"
                        "<?php\n"
                        "class A extends B {\n"
                        "    public function f(array $a = ['}']): array { // %A::f\n"
                        "        $s = \"{$a['x']} }\n"
                        "        }\"; # } %A::f\n"
                        "        $h = <<<EOT\n"
                        "        }}} \"\n"
                        "        EOT;\n"
                        "        $g = function () use ($a) { return 1; // %$g\n"
                        "        };\n"
                        "        return $g; // %A::f\n"
                        "    }\n"
                        "}\n"
                        "?>\n"
                        "<b>{ %-</b>\n"
                        "<?php function k() { // %k\n"
                        "}\n");
}

static void python_goes_by_indentation(void)
{
    check_text("a.py", "import os # %-\n"
                       "class A(B): # %-\n"
                       "    x = 1 # %-\n"
                       "    @property  # %A.f\n"
                       "    @deco(a,\n"
                       "          b)\n"
                       "    def f(self, # %A.f\n"
                       "          a=(1,\n"
                       "             2)):\n"
                       "        s = '''\n"
                       "def not_code(): %A.f\n"
                       "'''\n"
                       "        if s:\n"
                       "\n"
                       "            return { # %A.f\n"
                       "1: 2, # %A.f\n"
                       "            }\n"
                       "# a comment at the front %A.f\n"
                       "        def inner(): # %inner\n"
                       "            pass # %inner\n"
                       "        return \"#\" # %A.f\n"
                       "    y = 2 # %-\n"
                       "async def g(): # %g\n"
                       "\tx = 'it\\'s (' # %g\n"
                       "\treturn x \\\n"
                       "+ 1 # %g\n"
                       "z = 3 # %-\n");
    check_text("tool", "#!/usr/bin/env python3\n"
                       "def f(): # %f\n"
                       "    pass # %f\n");
}

static void ruby_and_shell_are_read(void)
{
    check_text("a.rb", "module M\n"
                       "  class A < B\n"
                       "    attr :x # %-\n"
                       "    def f(a)  # %A.f\n"
                       "      a.each do |b|\n"
                       "        c b # %A.f\n"
                       "      end\n"
                       "      1 if a # %A.f\n"
                       "    end\n"
                       "    def self.g = 3 # %A.g\n"
                       "    def h; 1; end # %A.h\n"
                       "    y # %-\n"
                       "  end\n"
                       "end\n");
    check_text("a.sh", "#!/bin/sh\n"
                       "x=1 # %-\n"
                       "f() { # %f\n"
                       "    echo \"}\" ${x:-\"}\"} # %f\n"
                       "    case $1 in\n"
                       "    a) g ;;\n"
                       "    esac\n"
                       "    cat <<-'EOF'\n"
                       "\t}\n"
                       "\tEOF\n"
                       "    echo '} %f' # %f\n"
                       "}\n"
                       "echo } # %-\n"
                       "function g-h { # %g-h\n"
                       "    { a; b; } # %g-h\n"
                       "    y # %g-h\n"
                       "}\n"
                       "k ()\n"
                       "{\n"
                       "    z # %k\n"
                       "}\n"
                       "w # %-\n");
}

static void text_of_other_kinds_has_no_functions(void)
{
    struct source s;

    source_init(&s, "notes.txt", "int f() {\n  x\n}\n", 15);
    CHECK(source_function(&s, 2) == NULL);
    source_done(&s);
    source_init(&s, "dir.c/README", "int f() {\n  x\n}\n", 15);
    CHECK(source_function(&s, 2) == NULL);
    CHECK(source_function(&s, 0) == NULL);
    CHECK(source_function(&s, -3) == NULL);
    CHECK(source_function(&s, 400) == NULL);
    source_done(&s);
}

/* Whatever the text is, it is read once: no more than so many times the time of a plain one. */
static void texts_that_want_to_be_slow_are_not(void)
{
    static const char *const paths[] = {"a.c",  "a.cpp", "a.js", "a.php", "a.py", "a.rb",
                                        "a.sh", "a.rs",  "a.cs", "a.go",  "a.kt", "a.java"};
    static const char *const bits[] = {
        "{",     "}",    "(",        "f(){",     "f(){}\n", "\"",   "'",      "`${",  "/*",
        "#if\n", "<<A ", "def f:\n", "\n",       "\r",      "R\"(", "r#\"",   "\\\n", "#else\n{",
        "x=>{",  "<",    "${",       "class A{", "@",       "\xFF", "<<<A\n", "'''",  " def f\n"};
    enum { SIZE = 256 * 1024 };
    auto_free char *text = xmalloc(SIZE);

    for (size_t b = 0; b < ARRAY_LEN(bits); b++) {
        size_t len = strlen(bits[b]);

        for (size_t i = 0; i < SIZE; i++) {
            text[i] = bits[b][i % len];
        }
        for (size_t p = 0; p < ARRAY_LEN(paths); p++) {
            struct source s;
            clock_t begin = clock();

            source_init(&s, paths[p], text, SIZE);
            for (int32_t line = 1; line <= s.lines; line += s.lines / 100 + 1) {
                source_function(&s, line);
            }
            source_done(&s);
            /* Quadratic would be minutes. */
            if ((clock() - begin) / CLOCKS_PER_SEC >= 5) {
                tap_fail(__FILE__, __LINE__, "%s of '%s' took too long", paths[p], bits[b]);
            }
        }
    }
}

TESTS(functions_of_c_hold_their_lines, the_preprocessors_two_ways_begin_where_the_first_did,
      methods_of_cxx_are_told_with_their_class, java_and_csharp_are_read,
      go_rust_swift_and_kotlin_are_read, scripts_have_functions_methods_and_named_closures,
      python_goes_by_indentation, ruby_and_shell_are_read, text_of_other_kinds_has_no_functions,
      texts_that_want_to_be_slow_are_not)
