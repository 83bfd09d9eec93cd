# syntax=docker/dockerfile:1

FROM rust:1-slim-bookworm AS build
# For the allocator.
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY tests tests
COPY conf conf
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin wayhold \
 && cp target/release/wayhold /usr/local/bin/wayhold
# The folders that the installed configuration writes to. The access log goes to standard output.
RUN mkdir -p /skeleton/run/wayhold /skeleton/var/log/wayhold /skeleton/etc/wayhold/conf.d \
 && ln -s /dev/stdout /skeleton/var/log/wayhold/access.log \
 && cp conf/wayhold.toml conf/wayhold.schema.json /skeleton/etc/wayhold/ \
 && chown -R 65532:65532 /skeleton/run/wayhold /skeleton/var/log/wayhold

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/wayhold /usr/bin/wayhold
COPY --from=build --chown=65532:65532 /skeleton/run/wayhold /run/wayhold
COPY --from=build --chown=65532:65532 /skeleton/var/log/wayhold /var/log/wayhold
COPY --from=build /skeleton/etc/wayhold /etc/wayhold
EXPOSE 80 443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s \
    CMD ["/usr/bin/wayhold", "healthcheck", "-c", "/etc/wayhold/wayhold.toml"]
ENTRYPOINT ["/usr/bin/wayhold"]
CMD ["-c", "/etc/wayhold/wayhold.toml"]
