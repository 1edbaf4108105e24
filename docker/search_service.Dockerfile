# search_service. Build from the root of the repository: docker build -f docker/search_service.Dockerfile .
FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml README.md ./
COPY protos protos
COPY service_kit service_kit
COPY image_kit image_kit
COPY search_service search_service
RUN pip install --no-cache-dir -e '.[search]'
USER 65532
EXPOSE 50052 9152
ENTRYPOINT ["python", "-m", "search_service"]
