# wasmd and wasmctl on Debian 12, as a user without rights. The socket is in /run/wasmd: mount a volume
# there and share it with the service that calls.
#
#   docker build -t wasmd .
#   docker run -v wasmd-socket:/run/wasmd wasmd
#   docker exec CONTAINER wasmctl health
ARG BASE=debian:12-slim

FROM ${BASE} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
COPY .ci/packages.txt .ci/packages.txt
COPY scripts/lib.sh scripts/lib.sh
# Building and Libraries of the one package list; the tests' packages stay out.
RUN . scripts/lib.sh && need_packages Building Libraries && rm -rf /var/lib/apt/lists/*
COPY . .
# Unspecified: all but the C library, which the daemon does not use.
RUN cmake --preset release -DWASMD_TESTS=OFF \
    && cmake --build --preset release --target wasmd wasmctl wasmd_completions \
    && cmake --install build/release --component Unspecified --prefix /out/usr/local --strip

FROM ${BASE}
# What stays dynamic: libc, the C++ runtime, and what Debian has no archive of. libstdc++6 is named so
# that another base fails here and not at start.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libfmt9 libseccomp2 libspdlog1.10 libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 wasmd \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin wasmd \
    && install -d -o wasmd -g wasmd -m 0770 /run/wasmd
COPY --from=build /out/ /
ENV WASMD_ADDR=unix:/run/wasmd/wasmd.sock
USER 65532:65532
VOLUME ["/run/wasmd"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["wasmctl", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["wasmd"]
CMD ["--listen", "unix:/run/wasmd/wasmd.sock"]
