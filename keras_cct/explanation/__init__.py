"""Explanations: what a model attends to, as arrays (`explain`) and as pictures (`overlay`, `head_grid`)."""

from keras_cct.explanation.maps import Explanation as Explanation
from keras_cct.explanation.maps import attention_rollout as attention_rollout
from keras_cct.explanation.maps import explain as explain
from keras_cct.explanation.pictures import head_grid as head_grid
from keras_cct.explanation.pictures import overlay as overlay
