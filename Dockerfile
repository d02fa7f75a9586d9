# The images of Millrace: docker build --target broker -t millrace-broker .
#
# Targets: nameserver, broker, proxy, cli (the command line), and all, the default: every program, starts `millrace up`.
# They compile once and share their layers. An image holds programs, the libraries that these load and nothing else: no
# shell, no package manager. /var/lib/dpkg/status.d says which Debian packages the libraries come from, and in which
# version; scanners read it. docs/kubernetes.md, chapter Images, has sizes and how to build with podman.
ARG BASE=debian:12-slim

FROM ${BASE} AS deps
COPY scripts/install-build-deps /usr/local/bin/
RUN install-build-deps && rm -rf /var/lib/apt/lists/*

FROM deps AS build
WORKDIR /src
COPY CMakeLists.txt CMakePresets.json LICENSE ./
COPY cmake cmake
COPY protos protos
COPY libs libs
COPY services services
COPY cli cli
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset release && \
    ninja -C build/release millrace millrace-nameserver millrace-broker millrace-proxy

FROM build AS roots
COPY scripts/image-roots /usr/local/bin/
RUN image-roots build/release/bin LICENSE /roots

FROM scratch AS runtime
COPY --from=roots /roots/base/ /
COPY --from=roots --chown=65532:65532 /roots/empty/ /var/lib/millrace/
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=unknown
LABEL org.opencontainers.image.vendor="Millrace" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# A file, since flags, variables and another --config come before it.
ENV MILLRACE_CONFIG=/etc/millrace/millrace.yaml
WORKDIR /var/lib/millrace
USER 65532:65532
STOPSIGNAL SIGTERM

FROM runtime AS nameserver
COPY --from=roots /roots/millrace-nameserver/ /
LABEL org.opencontainers.image.title="millrace-nameserver" \
      org.opencontainers.image.description="Which broker sets hold which topics"
EXPOSE 9876 5557
ENTRYPOINT ["/usr/bin/millrace-nameserver"]

FROM runtime AS broker
COPY --from=roots /roots/millrace-broker/ /
LABEL org.opencontainers.image.title="millrace-broker" \
      org.opencontainers.image.description="Stores and delivers messages"
EXPOSE 10911 5557
ENTRYPOINT ["/usr/bin/millrace-broker"]

FROM runtime AS proxy
COPY --from=roots /roots/millrace-proxy/ /
LABEL org.opencontainers.image.title="millrace-proxy" \
      org.opencontainers.image.description="What RocketMQ 5 clients talk to"
EXPOSE 8081 8083 5557
ENTRYPOINT ["/usr/bin/millrace-proxy"]

FROM runtime AS cli
COPY --from=roots /roots/millrace/ /
LABEL org.opencontainers.image.title="millrace" \
      org.opencontainers.image.description="The command line of Millrace"
ENTRYPOINT ["/usr/bin/millrace"]
CMD ["help"]

FROM runtime AS all
COPY --from=roots /roots/all/ /
LABEL org.opencontainers.image.title="millrace-all" \
      org.opencontainers.image.description="All roles of Millrace in one process, and every program"
EXPOSE 8081 8083 5557
ENTRYPOINT ["/usr/bin/millrace"]
CMD ["up"]
