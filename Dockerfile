# The native gateway in a container.
#
#   docker build -t lockgate .
#   docker run -p 41002:41002 -v lockgate:/data -e OPENAI_API_KEY lockgate
#
# The first start prints the admin token and a gateway key to the log; see README.md.

FROM rust:1.95-bookworm AS build
# The image's own toolchain: rust-toolchain.toml also asks for the wasm targets, which are not needed here.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry cargo build --release --locked --package lockgate
# A folder to start the volume from, so that it belongs to the user below.
RUN mkdir -m 0700 /data

FROM debian:bookworm-slim
COPY --from=build /src/target/release/lockgate /usr/local/bin/lockgate
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENV LOCKGATE_DATA_DIR=/data
VOLUME /data
EXPOSE 41002
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s CMD ["lockgate", "healthcheck"]
ENTRYPOINT ["lockgate"]
CMD ["gateway", "run", "--listen", "0.0.0.0"]
