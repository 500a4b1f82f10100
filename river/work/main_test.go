package work_test

import (
	"testing"

	"github.com/haechi-dev/haechi/base/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
