# The lines of requirements.txt that the application imports: pins.sh all | numpy.
# requirements.txt stays the one list of pins.
names='numpy|pillow|shapely|fastapi|uvicorn|httptools'
if [ "$1" = all ]; then
  names="$names|torch|scipy|matplotlib|tqdm"
fi
grep -E "^($names)==" requirements.txt
