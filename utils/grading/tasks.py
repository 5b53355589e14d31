"""All tasks of the course, by name."""

from utils.grading import part1, part2
from utils.grading.criteria import Task

TASKS: dict[str, Task] = {task.name: task for task in (*part1.TASKS, *part2.TASKS)}
