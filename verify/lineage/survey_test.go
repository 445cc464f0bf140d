package lineage_test

import (
	"testing"

	"github.com/pedigree-ml/pedigree/internal/storetest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

func TestSurvey(t *testing.T) {
	storetest.Run(t, storetest.Maker{New: func(testing.TB) lineage.Store { return lineage.NewSurvey() }})
}
