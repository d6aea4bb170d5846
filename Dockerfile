# The environment of the workflow, and its code: for clusters that run containers (docs/cluster.md).
# The lines RUN, in order, also set up a plain Debian 12.
FROM debian:12-slim

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PIP_NO_CACHE_DIR=1

# Versions of Debian's packages follow its security updates; those of Python's are in requirements.lock.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/salt
COPY Makefile requirements.lock ./
RUN make env

COPY . .
ENV PATH="/opt/salt/.venv/bin:$PATH"
RUN snakemake --configfile recipes/demo.yaml --dry-run --quiet
ENTRYPOINT ["snakemake"]
