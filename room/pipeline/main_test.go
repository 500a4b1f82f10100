package pipeline_test

import (
	"os"
	"testing"

	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Child()
	if dir := os.Getenv("HAECHI_TEST_PIPELINE"); dir != "" {
		workUntilKilled(dir, os.Getenv("HAECHI_TEST_DATABASE"))
	}
	dbtest.Main(m)
}
