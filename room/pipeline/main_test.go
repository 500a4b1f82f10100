package pipeline_test

import (
	"os"
	"testing"

	"github.com/haechi-dev/haechi/base/db/dbtest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("HAECHI_TEST_PIPELINE"); dir != "" {
		workUntilKilled(dir, os.Getenv("HAECHI_TEST_DATABASE"))
	}
	dbtest.Main(m)
}
