"""Models in mixed precision, which are exported in float32."""

import keras


def compute_in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model that computes in float32, with the same weights; the model itself if it does already.

    Exports compute in float32, because no other runtime rounds in mixed precision as Keras does.

    Args:
        model: A model of this package, with any dtype policy. Quantized models are returned unchanged.
    """
    policies = [layer.dtype_policy for layer in model.layers]
    is_quantized = any(isinstance(policy, keras.dtype_policies.QuantizedDTypePolicy) for policy in policies)
    if is_quantized or all(policy.compute_dtype == "float32" for policy in policies):
        return model
    copy = keras.models.clone_model(
        model, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    )
    copy.set_weights(model.get_weights())
    return copy
