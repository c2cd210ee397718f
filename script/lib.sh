# shellcheck shell=bash
# What ./up and ./test share: finding and installing what is missing, building.
# Sourced with $root set to the checkout.
# shellcheck disable=SC2034 # variables that the sourcing script reads
: "${root:?}"

say() { printf '%s\n' "$*"; }
step() { printf '%-4s %-10s %s\n' "$1" "$2" "$3"; }
die() {
    local status=$1
    shift
    printf 'error: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then
        printf 'hint: %s\n' "$@" >&2
    fi
    exit "$status"
}

# The rows of script/packages that belong to one of the groups.
package_rows() {
    local groups=" $* " group check package
    while read -r group check package; do
        case $groups in *" $group "*) printf '%s %s\n' "$check" "$package" ;; esac
    done < <(grep -Ev '^[[:space:]]*(#|$)' "$root/script/packages")
}

fuzz_links() {
    local out
    command -v clang >/dev/null || return 1
    out=$(mktemp)
    printf 'int LLVMFuzzerTestOneInput(const void *p, unsigned long n) { return p == 0 && n; }\n' |
        clang -xc - -fsanitize=fuzzer,address -o "$out" 2>/dev/null
    local status=$?
    rm -f "$out"
    return $status
}

# Whether the loader knows one of the libraries NAME,NAME.
library_is_there() {
    local known name
    known=$(/sbin/ldconfig -p 2>/dev/null)
    for name in ${1//,/ }; do
        case $known in *"$name "*) return 0 ;; esac
    done
    return 1
}

is_there() {
    local what=${1#*:}
    case $1 in
    cmd:*) command -v "$what" >/dev/null ;;
    pkg:*) command -v pkg-config >/dev/null && pkg-config --exists "$what" ;;
    lib:*) library_is_there "$what" ;;
    file:*) [ -e "$what" ] ;;
    py:*) /usr/bin/python3 -c "import $what" 2>/dev/null ;;
    fuzz:) fuzz_links ;;
    *) die 70 "script/packages: unknown check '$1'" ;;
    esac
}

# Sets missing (packages) and missing_checks for the groups.
find_missing() {
    local check package
    missing=() missing_checks=()
    while read -r check package; do
        if ! is_there "$check"; then
            missing_checks+=("${check#*:}")
            case " ${missing[*]-} " in
            *" $package "*) ;;
            *) missing+=("$package") ;;
            esac
        fi
    done < <(package_rows "$@")
}

is_debian() {
    command -v apt-get >/dev/null && grep -Eqs '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release
}

# The major version of the distribution's clang, for packages that have it in their name.
clang_version() { apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p'; }

lists_are_old() {
    local newest
    newest=$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mtime -1 -print -quit 2>/dev/null)
    [ -z "$newest" ]
}

has_candidates() {
    local name
    for name; do
        if ! apt-cache policy "$name" 2>/dev/null | grep -Eq 'Candidate: [^(]'; then
            return 1
        fi
    done
}

# Sets names: the missing packages, with clang's version where it belongs.
resolve_names() {
    local version
    version=$(clang_version || true)
    names=("${missing[@]//@/${version:-14}}")
}

# Words that make a command run as root, in $as_root; exits 3 with the command if there are none.
find_root() {
    as_root=()
    if [ "$(id -u)" -eq 0 ]; then
        return
    fi
    if command -v sudo >/dev/null; then
        if sudo -n true 2>/dev/null || [ -t 0 ]; then
            as_root=(sudo)
            return
        fi
    fi
    die 3 "packages are missing, and installing them needs root" "$1"
}

apt() {
    local log
    log=$(mktemp)
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -y \
        -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# Installs what is missing of the groups, or says what to install. $no_install and $dry_run count.
need_packages() {
    local command line names
    find_missing "$@"
    if [ ${#missing[@]} -eq 0 ]; then
        packages_line="nothing missing"
        return
    fi
    if ! is_debian; then
        say "This is neither Debian nor Ubuntu. Not found here: ${missing_checks[*]}" >&2
        die 3 "install these, named as Debian names them: ${missing[*]}"
    fi
    resolve_names
    command="apt-get install --no-install-recommends ${names[*]}"
    if [ "${dry_run-}" ]; then
        packages_line="would run: $command"
        return
    fi
    if [ "${no_install-}" ]; then
        die 3 "missing: ${names[*]}" "$command"
    fi
    find_root "sudo $command"
    line="${#names[@]} missing: ${names[*]}"
    say "     installing ${line} (${as_root[*]}${as_root[*]:+ }apt-get)"
    if lists_are_old || ! has_candidates "${names[@]}"; then
        apt update || say "     apt-get update failed; going on with the lists that are here" >&2
        resolve_names
    fi
    apt install --no-install-recommends "${names[@]}" ||
        die 1 "apt-get could not install what is missing" "$command"
    # A package that needed another one to be named (clang's version) may be found only now.
    find_missing "$@"
    if [ ${#missing[@]} -gt 0 ]; then
        resolve_names
        apt install --no-install-recommends "${names[@]}" || true
        find_missing "$@"
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        die 1 "installed, and still not found: ${missing_checks[*]}"
    fi
    packages_line="${line%% *} installed"
}

# build DIR [meson options]: configures, if it never was, and compiles $targets. Prints only what
# went wrong.
build() {
    local dir=$1 log status=0
    shift
    log=$(mktemp)
    if [ ! -f "$root/$dir/build.ninja" ]; then
        rm -rf "${root:?}/$dir/meson-private"
        meson setup "$root/$dir" "$root" "$@" >"$log" 2>&1 || status=$?
        if [ $status -ne 0 ]; then
            cat "$log" >&2
        else
            printf '%s\n' "$*" >"$root/$dir/options"
        fi
    elif [ -f "$root/$dir/options" ] && [ "$(cat "$root/$dir/options")" != "$*" ] &&
        [ "$dir" != build ]; then
        # Options of another version of ./test: from the start.
        rm -rf "${root:?}/$dir" "$log"
        build "$dir" "$@"
        return
    fi
    if [ $status -eq 0 ]; then
        # shellcheck disable=SC2086 # a list of targets
        ninja -C "$root/$dir" ${targets-} >"$log" 2>&1 || status=$?
        if [ $status -ne 0 ]; then
            grep -v '^\[' "$log" | tail -n 80 >&2
        fi
    fi
    rm -f "$log"
    return $status
}
