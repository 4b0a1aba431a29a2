#!/bin/sh
# Puts GraphiQL's and React's files where the next build of the server finds them.
set -eu
cd "$(dirname "$0")/../server/graphiql"
[ -s graphiql.min.js ] && [ -s graphiql.min.css ] && [ -s react.production.min.js ] && [ -s react-dom.production.min.js ] && exit 0
command -v npm >/dev/null || { echo "npm is not installed: the page /graphiql will say how to get it" >&2; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
take() { # package@version, file in it, as
    (cd "$work" && npm pack --silent "$1" >name && tar xzf "$(tail -n 1 name)") && mv "$work/package/$2" . && touch "$(basename "$2")" && rm -rf "$work/package"
}
take graphiql@3.9.0 graphiql.min.js && take graphiql@3.9.0 graphiql.min.css \
    && take react@18.3.1 umd/react.production.min.js && take react-dom@18.3.1 umd/react-dom.production.min.js \
    || echo "GraphiQL could not be had: the page /graphiql will say how to get it" >&2
