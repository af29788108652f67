"""Definitions of functions in many languages, and what only looks like one."""

from __future__ import annotations

import re

import pytest

from runtime.data.contamination.functions import defines, functions, parts

DEFINED = """
def has_close_elements(numbers: List[float]) -> bool:
    def NAME(self, x):
    async def NAME(x):
function NAME(lst){
export async function NAME<T>(lst: T[]): T {
function* NAME() {
const NAME = (lst) => lst.length
const NAME: Fn = async (a, b) => {
let NAME = x => x
NAME = lambda x: x
NAME <- function(x) {
  NAME: function (x) {
  NAME(x) {
func NAME(lst []int) int {
func (s *Stack) NAME(x int) {
pub fn NAME(lst: Vec<isize>) -> isize {
fn NAME<T: Ord>(lst: &[T]) -> T {
fun NAME(x: Int): Int {
fun String.NAME(): Int {
local function NAME(lst)
function M.NAME(lst)
sub NAME {
public static long NAME(ArrayList<Long> lst) {
    private List<Integer> NAME(int x) throws IOException {
int[] NAME(int x)
{
long NAME(std::vector<long> lst) {
char *NAME(const char *text) {
int &NAME(int &x) {
int Stack::NAME(int x) const {
NAME() {
def self.NAME(x)
"""
USED = """
x = NAME(1)
return NAME(1)
if NAME(1) {
if x && NAME(1) {
while not NAME(1) {
for (i = NAME(1); i; i++) {
if (NAME(x)) {
} else if (NAME(x)) {
new NAME(x) { }
print(NAME(1))
# define what NAME means
assert NAME(1) == 2
NAME(1);
int NAME(int x);
from m import NAME
if n > NAME(x) {
match NAME(x) {
defined NAME
"""


def stands(line: str) -> tuple[bytes, int, int]:
    data = line.encode()
    found = re.search(rb"NAME|has_close_elements", data)
    assert found
    return data, *found.span()


@pytest.mark.parametrize("line", [*re.split(r"\n(?!\{)", DEFINED.strip()), "}\nNAME(x) {"])
def test_defined(line: str) -> None:
    assert defines(*stands(line))


@pytest.mark.parametrize("line", USED.strip().split("\n"))
def test_only_used(line: str) -> None:
    assert not defines(*stands(line))


def test_a_program_as_a_whole() -> None:
    """In order, methods too; calls and classes are none."""
    program = "class Stack:\n    def push(self):\n        grow(self)\n\ndef main():\n    Stack().push()\n"
    assert functions(program) == ["push", "main"]
    assert functions("") == []


@pytest.mark.parametrize(
    ("name", "count"),
    [("sort", 1), ("sort_array", 2), ("is_prime2", 2), ("minCost", 2), ("Check_Solution", 2), ("lps", 1), ("func1", 1),
     ("__init__", 1), ("größe_max", 2)],
)  # fmt: skip
def test_parts_of_names(name: str, count: int) -> None:
    assert len(parts(name)) == count
