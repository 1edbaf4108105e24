# gateway. Build from the root of the repository: docker build -f docker/gateway.Dockerfile .
FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml README.md ./
COPY protos protos
COPY service_kit service_kit
COPY fetch_kit fetch_kit
COPY image_kit image_kit
COPY gateway gateway
RUN pip install --no-cache-dir -e '.[gateway,heic]'
RUN mkdir /store && chown 65532 /store
VOLUME /store
USER 65532
EXPOSE 50050
ENTRYPOINT ["python", "-m", "gateway"]
