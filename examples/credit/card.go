package credit

import (
	"errors"
	"fmt"
)

// trainedCard returns the model card of a trained model. It holds no date and
// no measured result: results belong to evaluations, which say on what data.
func trainedCard(c config) []byte {
	return fmt.Appendf(nil, trainedCardText, c.Features.width(), c.TrainingRows)
}

// quantizedCard returns the model card of a quantised model.
func quantizedCard(c config, baseModel string) []byte {
	q := c.Quantization
	return fmt.Appendf(nil, quantizedCardText, baseModel, q.Bits, baseModel, q.Bits, levels(q.Bits), q.CalibrationRows)
}

// maxModelName is the longest repository name that model registries allow.
const maxModelName = 96

// checkModelName accepts what can stand in the card's YAML without quotes.
func checkModelName(name string) error {
	if name == "" || len(name) > maxModelName {
		return fmt.Errorf("the name has %d bytes, want 1 to %d", len(name), maxModelName)
	}
	for i, b := range []byte(name) {
		letter := 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
		other := '0' <= b && b <= '9' || b == '-' || b == '_' || b == '.' || b == '/'
		if !letter && (i == 0 || !other) {
			return errors.New("the name must begin with a letter and hold only letters, digits, '-', '_', '.' and '/'")
		}
	}
	return nil
}

const trainedCardText = `---
license: cc-by-4.0
language: en
pipeline_tag: tabular-classification
tags:
  - tabular-classification
  - logistic-regression
  - safetensors
datasets:
  - statlog-german-credit-data
---

# German credit, logistic regression

Predicts whether a loan was repaid ("good") or not ("bad") from what the bank
knew when it was applied for.

## Intended use

Showing how the steps that make a model can be recorded and checked. It must not
be used to decide about anyone's loan.

## Model

A logistic regression with %d inputs: standardised numbers and one input per
category. config.json lists them; a category that is not listed gives zeros. The
output is the probability of "good", and the decision is "good" from 0.5 on.

## Data

Statlog (German Credit Data) by Hans Hofmann, UCI Machine Learning Repository,
<https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data>, CC BY 4.0.
Trained on %d rows. Scales and categories were learnt from these rows alone.

## Fairness

personal_status (which holds sex), age and foreign_worker are deliberately not
inputs. That does not make the decisions fair: other columns carry part of the
same information, and applicants under 26 are noticeably less often predicted to
be "good". Measure it with a bias evaluation.

## Limits

- The loans were granted in southern Germany from 1973 to 1975. Nothing here
  applies to other times or places.
- Groups by sex follow the code table that came with the data. A later revision
  of that table (U. Groemping, "South German Credit Data: Correcting a Widely
  Used Data Set", 2019) found that the column does not tell sex reliably.
- In the data 30 %% of the loans are bad, far more than in the bank's business:
  bad ones were oversampled. The probabilities are too pessimistic accordingly.
- A model that always says "good" is right about 70 %% of the data. This one is
  only a few points better.
- With a test set of 300 rows, accuracy is uncertain by about five points.
`

const quantizedCardText = `---
license: cc-by-4.0
language: en
pipeline_tag: tabular-classification
base_model: %s
base_model_relation: quantized
tags:
  - tabular-classification
  - logistic-regression
  - safetensors
  - %d-bit
datasets:
  - statlog-german-credit-data
---

# German credit, logistic regression, quantised

The model %s with its weights stored as %d-bit integers. Intended
use, data and limits are those of that model: it must not be used to decide
about anyone's loan.

## Quantisation

Symmetric and per tensor: weight = code * weight_scale, with codes from -%[5]d to
%[5]d in an I8 tensor. The bias stays F32. The clipping range is, of a few, the one
that changed the logits of %[6]d calibration rows least; config.json gives the
remaining error. Fewer than 4 bits can cost more accuracy than the model has to
give: evaluate before use.

## Data

Statlog (German Credit Data) by Hans Hofmann, UCI Machine Learning Repository,
<https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data>, CC BY 4.0.
`
