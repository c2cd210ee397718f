# shellcheck shell=sh
rm -rf "$1/"*
