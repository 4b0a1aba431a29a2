#!/bin/sh
# What the tests start instances of: PostgreSQL (15 or later) and RabbitMQ. Where they are missing
# Debian's packages are installed, if that is allowed here; else the tests say what is missing.
set -u
missing=""
[ -n "${MINUTEBOOK_TEST_POSTGRES:-}" ] || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$missing postgresql"
[ -n "${MINUTEBOOK_TEST_AMQP:-}" ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # shellcheck disable=SC2086
    apt-get install -y --no-install-recommends $missing || { apt-get update && apt-get install -y --no-install-recommends $missing; }
else
    echo "the tests need$missing: install Debian's packages, or set MINUTEBOOK_TEST_POSTGRES and MINUTEBOOK_TEST_AMQP" >&2
    exit 1
fi
